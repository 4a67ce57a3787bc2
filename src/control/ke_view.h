// What the report knows of NTS key establishment (RFC 8915 section 4), which a process of its own
// does. Values only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace ntp::control {

// How a connection ended. Every enumerator is a counter and a metric label.
enum class KeOutcome : std::uint8_t {
  ok,                // cookies were handed out
  no_alpn,           // TLS: the client named no application protocol
  wrong_alpn,        // TLS: only others than ntske/1
  tls_version,       // TLS: it does not speak 1.3
  tls_no_agreement,  // TLS: no cipher, group or signature in common
  not_tls,           // something else altogether, HTTP for example
  tls_malformed,     // TLS: it broke the protocol in another way
  tls_alert,         // TLS: it refused us; it does not trust the certificate, for example
  bad_request,       // records that RFC 8915 forbids: answered with error 1
  unknown_critical,  // a critical record that nobody here knows: answered with error 0
  no_protocol,       // nothing but protocols that are not NTPv4: answered with an empty list
  no_aead,           // no algorithm in common: answered with an empty list
  internal_error,    // we could not: answered with error 2
  broken_off,        // ended before it had asked
  idle,              // two seconds without an octet
  too_slow,          // not done within five seconds
  evicted,           // the idlest of too many
  rate_limited,      // too many from its network
};
inline constexpr std::array<std::string_view, 18> kKeOutcomeNames = {
    "ok",          "no_alpn",       "wrong_alpn",     "tls_version", "tls_no_agreement",
    "not_tls",     "tls_malformed", "tls_alert",      "bad_request", "unknown_critical",
    "no_protocol", "no_aead",       "internal_error", "broken_off",  "idle",
    "too_slow",    "evicted",       "rate_limited"};
inline constexpr std::size_t kKeOutcomes = kKeOutcomeNames.size();
static_assert(kKeOutcomes == static_cast<std::size_t>(KeOutcome::rate_limited) + 1);

// What keys were handed out for. Every enumerator is a counter and a metric label.
enum class KeAead : std::uint8_t {
  siv_cmac_256,
  gcm_siv,
  gcm_siv_of_chrony_4_4,  // exported as chrony 4.4 to 4.6 do it (nts/ke_record.h, record 1024)
};
inline constexpr std::array<std::string_view, 3> kKeAeadNames = {
    "AES-SIV-CMAC-256", "AES-128-GCM-SIV", "AES-128-GCM-SIV/chrony-4.4"};
inline constexpr std::size_t kKeAeads = kKeAeadNames.size();
static_assert(kKeAeads == static_cast<std::size_t>(KeAead::gcm_siv_of_chrony_4_4) + 1);

struct KeCounters {
  std::array<std::uint64_t, kKeOutcomes> outcomes{};
  std::array<std::uint64_t, kKeAeads> aeads{};  // of the outcome "ok"
  std::uint64_t accepted = 0;
  std::uint64_t accept_errors = 0;  // for want of descriptors or memory, or by the network
  std::uint64_t open = 0;           // now

  friend bool operator==(const KeCounters&, const KeCounters&) = default;
};

struct KeCertificate {
  bool loaded = false;  // clients are served
  RealTime valid_from{};
  RealTime valid_until{};
  std::string subject{};
  std::string problem{};  // why the files as they are now cannot be used; empty: they can

  friend bool operator==(const KeCertificate&, const KeCertificate&) = default;
};

// What keeps an intruder in.
struct SandboxView {
  int files = 0;                         // version of Landlock's interface; 0: not in force
  bool system_calls = false;             // filtered
  bool memory = false;                   // data cannot be made code
  std::uint64_t refused_calls = 0;       // by the filter, since the start
  std::uint64_t unconfined_threads = 0;  // that could not get the filter of their own
};

// A process that speaks TLS, as its keeper and it tell of it: the one that clients come to, or the
// one that asks sources for keys.
struct KeProcess {
  bool up = false;
  std::uint64_t starts = 0;  // all but the first were needed because it had ended
  SandboxView sandbox{};     // a call that is refused ends it

  std::uint64_t restarts() const noexcept { return starts > 0 ? starts - 1 : 0; }
};

struct KeView {
  KeProcess process{};
  KeCounters counters{};  // of all processes since the start
  KeCertificate certificate{};
  std::string keys{};          // where the cookie keys are from
  std::string keys_problem{};  // empty: they are there
};

}  // namespace ntp::control

// What comes of a key establishment, for the client that asked for it: keys and cookies, or why
// not. Values only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "nts/session.h"

namespace ntp::nts {

using Cookie = std::vector<std::byte>;

struct Established {
  SessionKeys keys{};
  std::vector<Cookie> cookies{};        // 1 to kCookiesKept
  std::string server{};                 // who is to be asked for the time; empty: the same host
  std::optional<std::uint16_t> port{};  // nothing: as configured
  RealTime valid_from{};                // of the certificate
  RealTime valid_until{};
  std::string subject{};  // printable

  friend bool operator==(const Established&, const Established&) = default;
};

// Each is a label of a counter.
enum class KeTrouble : std::uint8_t {
  unreachable,  // no TCP connection
  too_slow,     // not done in time
  tls,          // the handshake failed in another way: version, alert, not TLS at all
  untrusted,    // no way from its certificate to a root
  wrong_name,   // the certificate is for other hosts
  early,        // not valid yet
  expired,      // no longer valid
  no_alpn,      // it does not speak ntske/1
  bad_answer,   // its records are not those of an answer
  refused,      // it reports an error, or offers nothing that we can use
  bad_server,   // the server of time that it names cannot be used
  no_roots,     // there is nothing to check its certificate with
  lost,         // our own process of key establishment could not do it
};
inline constexpr std::array<std::string_view, 13> kKeTroubleNames = {
    "unreachable", "too_slow",   "tls",     "untrusted",  "wrong_name", "early", "expired",
    "no_alpn",     "bad_answer", "refused", "bad_server", "no_roots",   "lost"};
inline constexpr std::size_t kKeTroubles = kKeTroubleNames.size();
static_assert(kKeTroubles == static_cast<std::size_t>(KeTrouble::lost) + 1);

struct NotEstablished {
  KeTrouble trouble = KeTrouble::lost;
  std::string why{};  // in words, printable

  friend bool operator==(const NotEstablished&, const NotEstablished&) = default;
};

using Establishment = std::expected<Established, NotEstablished>;

}  // namespace ntp::nts

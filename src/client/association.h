// One address that we ask for the time (RFC 5905 sections 8, 9 and 13). Pure: feed it time, answers
// and randomness; it says what to send and when it wants to be woken.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/random.h"
#include "base/time.h"
#include "client/nts_session.h"
#include "client/reject.h"
#include "clock/clock_map.h"
#include "clock/sample.h"
#include "crypto/mac.h"
#include "wire/header.h"

namespace ntp::client {

inline constexpr int kLeastPoll = -6;  // log2 s
inline constexpr int kMostPoll = 17;
// A burst tells the offset at once and then, at intervals that grow, the frequency: while a clock
// of unknown frequency has been watched for t, it cannot be foretold for much longer than t.
inline constexpr int kBurst = 14;  // questions: seven in 12 s, then after 4, 4, 8, 8, 16, 16, 32 s
inline constexpr int kQuick = 6;   // samples at the first interval
inline constexpr int kBurstPoll = 1;                        // log2 s
inline constexpr std::chrono::seconds kBurstHoldOff{1024};  // between bursts that answers start
inline constexpr std::chrono::seconds kPatience{1};         // a question is open at least so long
inline constexpr double kMaxRootDistance_s = 16;            // MAXDISP

struct AssociationOptions {
  std::uint8_t version = 4;
  bool iburst = true;
  int minpoll = 6;  // log2 s, kLeastPoll … kMostPoll
  int maxpoll = 10;
  double max_delay_s = 3;
  double precision_s = 1e-6;  // resolution of our own stamps
  bool nts = false;           // nothing is asked without keys, nothing believed without proof
  std::uint32_t key = 0;      // number of the symmetric key; 0: none. Likewise

  friend bool operator==(const AssociationOptions&, const AssociationOptions&) = default;
};

// To be sent from a socket of its own, closed when the question is no longer open: a random source
// port for each question (RFC 9109) is one more thing that who forges an answer has to guess.
struct Transmit {
  Endpoint to{};
  std::vector<std::byte> bytes{};
};

// Of the send call itself. What ICMP tells later is anybody's word and only a hint (`refused`).
enum class SendError : std::uint8_t { unreachable, refused, not_permitted, other };
std::string_view describe(SendError error) noexcept;

struct Arrival {
  std::span<const std::byte> datagram{};
  Endpoint from{};
  RawTime at{};                                 // T4
  clock::ClockMap base{};                       // what samples are measured against
  std::span<const std::uint32_t> own_refids{};  // of our addresses, and whatever else we serve as
};

struct Question {
  std::uint64_t nonce = 0;
  RawTime sent{};  // T1

  friend bool operator==(const Question&, const Question&) = default;
};

// All that decides what an association does next. The nonce of an open question must not leave the
// process (CVE-2015-8139).
struct AssociationState {
  int poll = 6;                 // log2 s, as asked from outside
  int poll_floor = kLeastPoll;  // raised by RATE, never lowered
  std::uint8_t reach = 0;       // one bit for each of the last eight questions
  int burst_left = 0;           //
  int burst_samples = 0;        // since it began, up to kBurst
  bool soon = false;            // the next question need not wait for the poll
  bool was_soon = false;        // the last one did not
  int unanswered = 0;           // questions in a row, until a good answer
  int unsent = 0;               // failures to send in a row
  bool denied = false;          // DENY or RSTR: nothing is asked any more
  RawTime anchor{};             // the last question or failure to send
  double jitter = 0;            // [0, 1), drawn at the anchor
  std::optional<Question> question{};
  std::uint64_t answered_nonce = 0;
  std::optional<RawTime> burst_began{};
  std::optional<clock::Sample> sample{};  // the last one
  // Why the answer to the last question is none; empty when it is good or has not come.
  std::optional<Reject> refused{};
  std::uint32_t kiss = 0;  // the last code, 0: none
  std::uint64_t questions = 0;
  std::uint64_t samples = 0;

  friend bool operator==(const AssociationState&, const AssociationState&) = default;
};

class Association {
 public:
  Association(const Endpoint& address, const AssociationOptions& options, RawTime now,
              RandomSource& random);

  // Something to send, if it is time. Until on_sent() says better, it counts as sent at `now`.
  std::optional<Transmit> on_timer(RawTime now, RandomSource& random);
  // It went, and when; must be told of every Transmit that did. May be told again when the kernel's
  // stamp comes. A stamp that cannot be true is ignored.
  void on_sent(RawTime t1) noexcept;
  void on_send_failed(SendError error, RawTime now, RandomSource& random);
  std::expected<clock::Sample, Reject> on_datagram(const Arrival& arrival);

  // Empty once nothing will ever be asked. In the past when the answer is "now".
  std::optional<RawTime> next_deadline() const noexcept;
  std::optional<RawTime> next_question() const noexcept;

  // Once, at the first interval of a burst: its answer is to be confirmed.
  void ask_soon() noexcept;
  void set_poll(int log2_s) noexcept;  // clamped to minpoll … maxpoll
  void set_options(const AssociationOptions& options) noexcept;
  void start_burst(RawTime now) noexcept;  // after a suspend, or when the network is back

  // Null without NTS. After on_established() on_keys() is to be called.
  NtsSession* nts() noexcept { return nts_ ? &*nts_ : nullptr; }
  const NtsSession* nts() const noexcept { return nts_ ? &*nts_ : nullptr; }
  // `address` is whom the key establishment has named.
  void on_keys(const Endpoint& address, RawTime now) noexcept;
  // The one with the number options().key; empty: it is not there any more.
  void set_key(const std::optional<crypto::MacKey>& key) noexcept;

  const Endpoint& address() const noexcept { return address_; }
  const AssociationOptions& options() const noexcept { return options_; }
  const AssociationState& state() const noexcept { return state_; }
  const RejectCounts& rejects() const noexcept { return rejects_; }
  int poll() const noexcept;  // in force: the one asked for, or the floor
  bool is_unreachable() const noexcept;

 private:
  std::expected<clock::Sample, Reject> take(const Arrival& arrival);
  bool may_ask() const noexcept;
  std::vector<std::byte> write_request(std::uint64_t nonce, RawTime now, RandomSource& random);
  std::optional<Reject> prove(const Arrival& arrival, std::span<const std::byte> mac,
                              bool has_nts_field);
  std::optional<Reject> match(const Arrival& arrival, const wire::Header& reply) const noexcept;
  Reject take_kiss(std::uint32_t code) noexcept;
  void note_success(const clock::Sample& sample, RawTime now) noexcept;
  std::chrono::nanoseconds wait() const noexcept;
  std::chrono::nanoseconds time_limit() const noexcept;
  std::uint64_t fresh_nonce(RandomSource& random) const;

  Endpoint address_;
  AssociationOptions options_;
  AssociationState state_;
  RejectCounts rejects_;
  std::optional<NtsSession> nts_;
  std::optional<crypto::MacKey> key_;
};

}  // namespace ntp::client

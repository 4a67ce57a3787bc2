// How many requests of one address are answered: enough for every honest client and for every
// honest crowd behind one address, and never so few that somebody who forges an address locks its
// owner out. Pure: time and keys are arguments, memory is fixed. docs/decisions/0013 has the
// numbers.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ip.h"
#include "base/random.h"
#include "base/siphash.h"
#include "base/time.h"

namespace ntp::server {

struct RateRules {
  std::uint32_t limit = 0;         // requests a second of one address (IPv6: /64); 0: no limit
  std::uint32_t burst = 8000;      // how many more may come at once
  std::uint32_t leak = 2;          // above that one in so many is answered all the same, by chance
  std::uint32_t prefix_limit = 0;  // of an IPv4 /24 or IPv6 /48, while datagrams are lost; 0: none
  bool kiss = false;               // tell some of the others with a kiss-o'-death, RATE

  friend bool operator==(const RateRules&, const RateRules&) = default;
};

// One account: a leaky bucket as a single point in time (GCRA). Sixteen octets, so that the four of
// a set are one line of the cache and the structure can be a kernel map as it is.
struct RateAccount {
  std::uint64_t tag = 0;
  std::uint64_t paid_until_ns = 0;
};
struct alignas(64) RateSet {
  std::array<RateAccount, 4> accounts{};
};

// What one token costs and how far ahead may be paid for, in nanoseconds.
struct RateBudget {
  std::uint64_t token_ns = 0;
  std::uint64_t ahead_ns = 0;
};
RateBudget budget_of(std::uint32_t limit, std::uint32_t burst) noexcept;

// The decision: takes a token from the account with this tag and returns true, or leaves it alone
// and returns false where there is none. A tag that is not in the set gets the place of the account
// that was paid the least far ahead, which is the one that has been quiet for longest: whoever
// exceeds a budget stays, and who is forgotten only gains by it.
bool take_token(RateSet& set, std::uint64_t tag, const RateBudget& budget,
                std::uint64_t now_ns) noexcept;

// The same for one account that is everybody's.
bool take_token(std::uint64_t& paid_until_ns, const RateBudget& budget,
                std::uint64_t now_ns) noexcept;

// How many proofs (a cookie and its authenticator, or a MAC) a worker examines a second for
// addresses above their limit, and how many more at once: with the reply less than a tenth of its
// time, and more than the flood that the bars for attacks are about.
inline constexpr std::uint32_t kProofsAboveLimit_per_s = 32'000;
inline constexpr std::uint32_t kProofBurst = 4'000;

enum class RateVerdict : std::uint8_t { serve, drop, kiss };

// What is known about the limiter's work; for the log and the status.
struct RateView {
  bool threatened = false;  // datagrams were lost lately
  IpAddress crowd{};        // where `crowd_ports` > 0: many clients seem to share this address
  std::uint32_t crowd_ports = 0;

  friend bool operator==(const RateView&, const RateView&) = default;
};

// Of all workers together: one kiss-o'-death a second at most, whoever is being flooded with them.
class KissGate {
 public:
  bool pass(std::uint64_t now_ns) noexcept;

 private:
  std::atomic<std::uint64_t> next_ns_{0};
};

// One worker's. A request is first charged and later judged, so that in between it may prove that
// it is no forgery.
class RateLimiter {
 public:
  // `key` is random and secret; `dice` decides whose request above the limit is answered.
  // `kisses` is shared and outlives this.
  RateLimiter(SipKey key, std::uint64_t dice, KissGate& kisses);

  // Before each batch. `lost`: the kernel has dropped datagrams of this socket since the last one.
  void begin(const RateRules& rules, RawTime now, bool lost) noexcept;

  // Fetches the line of the cache that charge() will want.
  void prefetch(const IpAddress& source) const noexcept;

  struct Charge {
    bool within = true;  // its budget
    std::uint64_t tag = 0;
  };
  Charge charge(const Endpoint& source) noexcept;

  // May the MAC or the cookie of this request be examined? Within the limit always, above it while
  // the worker's budget for that lasts: forged proofs take no more of the processor than that. What
  // may not be examined is dropped.
  bool may_examine(const Charge& charge) noexcept;

  // `authenticated`: the request carries a MAC or an NTS authenticator that was verified, which
  // whoever forges addresses cannot have. It is answered whatever was sent in its name.
  RateVerdict judge(const Charge& charge, bool authenticated) noexcept;

  const RateView& view() const noexcept { return view_; }
  // Requests above the limit that were answered, since the start.
  std::uint64_t leaked() const noexcept { return leaked_; }

  static constexpr std::size_t kSets = 1024;  // 64 KiB

 private:
  static constexpr std::size_t kPortBits = 1024;

  std::uint64_t tag_of(const IpAddress& source) const noexcept;
  std::uint64_t tag_of_prefix(const IpAddress& source) const noexcept;
  RateSet& set_of(std::uint64_t tag) noexcept { return sets_[tag >> (64 - kSetBits)]; }
  bool is_one_in(std::uint32_t n) noexcept { return n <= 1 || dice_.next() % n == 0; }
  void watch_crowd(const Endpoint& source, std::uint64_t tag) noexcept;
  void close_window() noexcept;

  static constexpr unsigned kSetBits = 10;
  static_assert(kSets == 1u << kSetBits);

  SipKey key_;
  NoiseSource dice_;
  KissGate& kisses_;
  RateRules rules_{};
  RateBudget budget_{};
  RateBudget prefix_budget_{};
  RateBudget proof_budget_ = budget_of(kProofsAboveLimit_per_s, kProofBurst);
  std::uint64_t proofs_paid_until_ns_ = 0;
  std::uint64_t now_ns_ = 0;
  std::uint64_t threatened_until_ns_ = 0;
  // Of the second that goes on: is it one address whose requests are above the limit, and do they
  // come from as many ports as many clients have?
  std::uint64_t window_ends_ns_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t candidate_ = 0;  // its tag
  std::uint64_t candidate_requests_ = 0;
  IpAddress candidate_address_{};
  std::array<std::uint64_t, kPortBits / 64> ports_{};
  std::uint64_t crowd_ = 0;  // the tag of view_.crowd
  RateView view_{};
  std::uint64_t leaked_ = 0;
  std::vector<RateSet> sets_;
};

}  // namespace ntp::server

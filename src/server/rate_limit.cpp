#include "server/rate_limit.h"

#include <algorithm>
#include <bit>

namespace ntp::server {
namespace {

constexpr std::uint64_t kSecond_ns = 1'000'000'000;
// How long a loss of datagrams is remembered.
constexpr std::uint64_t kThreat_ns = kSecond_ns;
// While datagrams are lost, what is above a limit costs those below it their place in the queue.
constexpr std::uint32_t kLeakUnderThreat = 4;
// A crowd: at least half of the requests of a second are of one address, so many of them above its
// limit, and those came from so many ports (bits of a map of 1,024).
constexpr std::uint64_t kLeastCrowd = 100;
constexpr int kLeastCrowdPorts = 64;

// What the accounts are about, so that a /64 and a /48 with the same bits are two.
enum class Kind : std::uint8_t { v4, v6, v4_prefix, v6_prefix };

std::uint64_t first_octets(const IpAddress& address, std::size_t octets) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < octets; ++i) value = value << 8 | address.octets[i];
  return value;
}

bool has_same_budgets(const RateRules& a, const RateRules& b) noexcept {
  return a.limit == b.limit && a.burst == b.burst && a.prefix_limit == b.prefix_limit;
}

}  // namespace

RateBudget budget_of(std::uint32_t limit, std::uint32_t burst) noexcept {
  if (limit == 0) return {};
  const std::uint64_t token_ns = kSecond_ns / limit;
  return {.token_ns = token_ns, .ahead_ns = token_ns * burst};
}

bool take_token(RateSet& set, std::uint64_t tag, const RateBudget& budget,
                std::uint64_t now_ns) noexcept {
  RateAccount* account = &set.accounts[0];
  for (RateAccount& candidate : set.accounts) {
    if (candidate.tag == tag) {
      account = &candidate;
      break;
    }
    if (candidate.paid_until_ns < account->paid_until_ns) account = &candidate;
  }
  if (account->tag != tag) *account = {.tag = tag, .paid_until_ns = 0};
  return take_token(account->paid_until_ns, budget, now_ns);
}

bool take_token(std::uint64_t& paid_until_ns, const RateBudget& budget,
                std::uint64_t now_ns) noexcept {
  const std::uint64_t paid_ns = std::max(paid_until_ns, now_ns);
  if (paid_ns - now_ns > budget.ahead_ns) return false;
  paid_until_ns = paid_ns + budget.token_ns;
  return true;
}

bool KissGate::pass(std::uint64_t now_ns) noexcept {
  std::uint64_t next_ns = next_ns_.load(std::memory_order_relaxed);
  return now_ns >= next_ns &&
         next_ns_.compare_exchange_strong(next_ns, now_ns + kSecond_ns, std::memory_order_relaxed);
}

RateLimiter::RateLimiter(SipKey key, std::uint64_t dice, KissGate& kisses)
    : key_(key), dice_(dice), kisses_(kisses), sets_(kSets) {}

void RateLimiter::begin(const RateRules& rules, RawTime now, bool lost) noexcept {
  now_ns_ = static_cast<std::uint64_t>(now.time_since_epoch().count());
  if (rules != rules_) {
    // What was paid ahead by another budget is no debt by this one: by a limit of one a second it
    // may be hours.
    if (!has_same_budgets(rules, rules_)) std::ranges::fill(sets_, RateSet{});
    rules_ = rules;
    budget_ = budget_of(rules.limit, rules.burst);
    prefix_budget_ = budget_of(rules.prefix_limit, rules.prefix_limit);
  }
  if (lost) threatened_until_ns_ = now_ns_ + kThreat_ns;
  view_.threatened = now_ns_ < threatened_until_ns_;
  if (now_ns_ >= window_ends_ns_) close_window();
}

std::uint64_t RateLimiter::tag_of(const IpAddress& source) const noexcept {
  return source.is_v4()
             ? siphash(key_, first_octets(source, 4), static_cast<std::uint8_t>(Kind::v4))
             : siphash(key_, first_octets(source, 8), static_cast<std::uint8_t>(Kind::v6));
}

std::uint64_t RateLimiter::tag_of_prefix(const IpAddress& source) const noexcept {
  return source.is_v4()
             ? siphash(key_, first_octets(source, 3), static_cast<std::uint8_t>(Kind::v4_prefix))
             : siphash(key_, first_octets(source, 6), static_cast<std::uint8_t>(Kind::v6_prefix));
}

void RateLimiter::prefetch(const IpAddress& source) const noexcept {
  __builtin_prefetch(&sets_[tag_of(source) >> (64 - kSetBits)], 1);
}

RateLimiter::Charge RateLimiter::charge(const Endpoint& source) noexcept {
  if (rules_.limit == 0) return {};
  ++requests_;
  Charge charge{.tag = tag_of(source.address)};
  charge.within = take_token(set_of(charge.tag), charge.tag, budget_, now_ns_);
  if (!charge.within) watch_crowd(source, charge.tag);
  if (charge.within && view_.threatened && prefix_budget_.token_ns > 0) {
    const std::uint64_t prefix = tag_of_prefix(source.address);
    charge.within = take_token(set_of(prefix), prefix, prefix_budget_, now_ns_);
  }
  return charge;
}

bool RateLimiter::may_examine(const Charge& charge) noexcept {
  return charge.within || take_token(proofs_paid_until_ns_, proof_budget_, now_ns_);
}

RateVerdict RateLimiter::judge(const Charge& charge, bool authenticated) noexcept {
  if (charge.within || authenticated) return RateVerdict::serve;
  const bool is_crowd = view_.crowd_ports > 0 && charge.tag == crowd_;
  const std::uint32_t leak =
      view_.threatened && !is_crowd ? std::max(rules_.leak, kLeakUnderThreat) : rules_.leak;
  if ((is_crowd && !view_.threatened) || is_one_in(leak)) {
    ++leaked_;
    return RateVerdict::serve;
  }
  return rules_.kiss && kisses_.pass(now_ns_) ? RateVerdict::kiss : RateVerdict::drop;
}

// Of the addresses above their limit the one that has most of it (Boyer and Moore's vote).
void RateLimiter::watch_crowd(const Endpoint& source, std::uint64_t tag) noexcept {
  if (candidate_requests_ == 0) {
    candidate_ = tag;
    candidate_address_ = source.address;
    ports_ = {};
  } else if (candidate_ != tag) {
    --candidate_requests_;
    return;
  }
  ++candidate_requests_;
  const std::size_t bit = source.port % kPortBits;
  ports_[bit / 64] |= std::uint64_t{1} << bit % 64;
}

void RateLimiter::close_window() noexcept {
  int ports = 0;
  for (const std::uint64_t word : ports_) ports += std::popcount(word);
  const std::uint64_t of_candidate = candidate_requests_ + rules_.limit;  // and what was within it
  const bool is_crowd = candidate_requests_ >= kLeastCrowd && of_candidate * 2 >= requests_ &&
                        ports >= kLeastCrowdPorts;
  crowd_ = is_crowd ? candidate_ : 0;
  view_.crowd = is_crowd ? candidate_address_ : IpAddress{};
  view_.crowd_ports = is_crowd ? static_cast<std::uint32_t>(ports) : 0;
  requests_ = 0;
  candidate_requests_ = 0;
  ports_ = {};
  window_ends_ns_ = now_ns_ + kSecond_ns;
}

}  // namespace ntp::server

// Any sequence of requests: no address gets more than its burst and its rate within its budget, and
// the limiter's view stays sane whatever time does.
#include <map>

#include "input.h"
#include "server/rate_limit.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  fuzz::Input in(data, size);
  const server::RateRules rules{.limit = 1 + static_cast<std::uint32_t>(in.take_below(1'000'000)),
                                .burst = static_cast<std::uint32_t>(in.take_below(1000)),
                                .leak = 1 + static_cast<std::uint32_t>(in.take_below(1000)),
                                .prefix_limit = static_cast<std::uint32_t>(in.take_below(1000)),
                                .kiss = in.take_bool()};
  server::KissGate gate;
  server::RateLimiter limiter({in.take<std::uint64_t>(), in.take<std::uint64_t>()},
                              in.take<std::uint64_t>(), gate);
  const auto budget = server::budget_of(rules.limit, rules.burst);
  std::map<std::uint8_t, std::uint64_t> within;  // of at most four addresses: no set overflows
  RawTime now{std::chrono::seconds(1000)};
  const RawTime begun = now;
  while (!in.empty()) {
    now += std::chrono::nanoseconds(in.take<std::uint32_t>());
    limiter.begin(rules, now, in.take_bool());
    const auto who = static_cast<std::uint8_t>(in.take_below(4));
    const Endpoint source{.address = IpAddress::v4(192, 0, 2, who),
                          .port = in.take<std::uint16_t>()};
    limiter.prefetch(source.address);
    const auto charge = limiter.charge(source);
    within[who] += charge.within;
    const auto passed = static_cast<std::uint64_t>((now - begun).count());
    NTP_CHECK(within[who] <= rules.burst + 2 + passed / budget.token_ns);
    const bool authenticated = in.take_bool();
    const auto verdict = limiter.judge(charge, authenticated);
    NTP_CHECK(verdict == server::RateVerdict::serve || !(charge.within || authenticated));
    NTP_CHECK(verdict != server::RateVerdict::kiss || rules.kiss);
    NTP_CHECK(limiter.view().crowd_ports <= 1024);
  }
  return 0;
}

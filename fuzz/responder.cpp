// Gate, parse, account and seal on any datagram from any source, under the golden rules. The first
// eight octets choose the situation, the others are the datagram.
#include <cstdio>

#include "situation.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  if (size < fuzz::kControl) return 0;
  auto situation = fuzz::situation_of(data, size);
  const auto reaction = wire_test::react(situation);
  if (const auto broken = broken_rule(situation, reaction)) {
    std::fprintf(stderr, "%s\n", broken->c_str());
    NTP_CHECK(false);
  }
  NTP_CHECK(wire_test::react(situation) == reaction);  // G14
  if (!reaction) return 0;
  situation.arrival.payload = *reaction;
  std::swap(situation.arrival.source, situation.arrival.local);
  NTP_CHECK(!wire_test::react(situation));  // no answer to an answer
  return 0;
}

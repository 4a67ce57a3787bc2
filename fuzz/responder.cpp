// Gate, parse, account and seal on any datagram from any source, under the golden rules. The first
// eight octets choose the situation, the others are the datagram.
#include <cstdio>

#include "check.h"
#include "tests/wire/golden_rules.h"

namespace {

using namespace ntp;

constexpr std::size_t kControl = 8;

server::Arrival arrival_of(std::span<const std::byte> payload, unsigned choice) {
  const bool v4 = (choice & 1) == 0;
  const IpAddress client = *parse_ip(v4 ? "192.0.2.7" : "2001:db8::7");
  const IpAddress local = *parse_ip(v4 ? "192.0.2.1" : "2001:db8::1");
  server::Arrival arrival{.payload = payload,
                          .truncated = (choice & 2) != 0,
                          .source = {.address = client, .port = 40'000},
                          .local = {.address = local, .port = 123},
                          .through_loopback = (choice & 4) != 0};
  if ((choice & 8) != 0) arrival.source.port = 123;
  if ((choice & 16) != 0) arrival.source.address = local;
  if ((choice & 32) != 0) arrival.source.address.octets[0] = 127;
  if ((choice & 64) != 0) arrival.source.address.octets[0] = 0xff;
  if ((choice & 128) != 0) arrival.source.port = 0;
  return arrival;
}

server::ServerState state_of(unsigned leap, unsigned precision) {
  return {.leap = static_cast<wire::Leap>(leap & 3),
          .synchronised = true,
          .stratum = static_cast<std::uint8_t>(1 + (leap >> 2) % 15),
          .precision = static_cast<std::int8_t>(precision),
          .refid = server::kRefidHost,
          .reftime = {0xee7ac40000000000},
          .root_delay_s = 0.001,
          .root_dispersion_s = 0.01,
          .dispersion_rate = 500e-6,
          .at = RawTime(std::chrono::seconds(1000))};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kControl) return 0;
  const auto payload = fuzz::octets_of(data, size).subspan(kControl);
  const auto age = std::chrono::milliseconds(data[4] * 50 - 100);
  wire_test::Situation situation{.arrival = arrival_of(payload, data[0]),
                                 .clock = describe_clock(state_of(data[1], data[2]),
                                                         RawTime(std::chrono::seconds(1000)) + age),
                                 .policy = {.poll_minimum = static_cast<std::int8_t>(data[3])},
                                 .rec = {0xee7ac40100000000 + (std::uint64_t{data[5]} << 28)},
                                 .xmt = {0xee7ac40100000000 + (std::uint64_t{data[6]} << 28)},
                                 .seed = data[7]};
  const auto reaction = wire_test::react(situation);
  if (const auto broken = broken_rule(situation, reaction)) {
    std::fprintf(stderr, "%s\n", broken->c_str());
    NTP_CHECK(!"a golden rule is broken");
  }
  NTP_CHECK(wire_test::react(situation) == reaction);  // G14
  if (!reaction) return 0;
  situation.arrival.payload = *reaction;
  std::swap(situation.arrival.source, situation.arrival.local);
  NTP_CHECK(!wire_test::react(situation));  // no answer to an answer
  return 0;
}

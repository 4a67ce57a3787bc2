// The first eight octets of an input choose the situation of a server, the others are the datagram.
#pragma once

#include <span>

#include "check.h"
#include "tests/wire/golden_rules.h"

namespace ntp::fuzz {

inline constexpr std::size_t kControl = 8;

inline server::Arrival arrival_of(std::span<const std::byte> payload, unsigned choice) {
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

inline server::ServerState state_of(unsigned leap, unsigned precision) {
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

// Borrows the input, which has kControl octets at least.
inline wire_test::Situation situation_of(const std::uint8_t* data, std::size_t size) {
  const auto age = std::chrono::milliseconds(data[4] * 50 - 100);
  return {.arrival = arrival_of(octets_of(data, size).subspan(kControl), data[0]),
          .clock =
              describe_clock(state_of(data[1], data[2]), RawTime(std::chrono::seconds(1000)) + age),
          .policy = {.poll_minimum = static_cast<std::int8_t>(data[3])},
          .rec = {0xee7ac40100000000 + (std::uint64_t{data[5]} << 28)},
          .xmt = {0xee7ac40100000000 + (std::uint64_t{data[6]} << 28)},
          .seed = data[7]};
}

}  // namespace ntp::fuzz

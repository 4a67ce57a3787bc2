// The same as fuzz/responder.cpp for a server with symmetric keys and NTS. What libFuzzer changes
// is made genuine again three times out of four (a cookie that is ours, an authenticator and a MAC
// that fit), so that what stands behind the cryptography is reached. The inputs hold whole
// datagrams.
#include <algorithm>
#include <cstdio>

#include "situation.h"
#include "tests/wire/keyed_server.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned int seed) {
  using namespace ntp;
  size = LLVMFuzzerMutate(data, size, most);
  NoiseSource dice(seed);
  if (size < fuzz::kControl || dice.next() % 4 == 0) return size;
  const auto octets = fuzz::octets_of(data, size).subspan(fuzz::kControl);
  wire_test::Bytes datagram(octets.begin(), octets.end());
  wire_test::make_genuine(datagram, dice);  // keeps the size
  std::ranges::copy(datagram, std::as_writable_bytes(std::span(data, size)).begin() +
                                  static_cast<std::ptrdiff_t>(fuzz::kControl));
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  if (size < fuzz::kControl) return 0;
  auto situation = fuzz::situation_of(data, size);
  const auto reaction = wire_test::react_keyed(situation);
  if (const auto broken = broken_keyed_rule(situation, reaction)) {
    std::fprintf(stderr, "%s\n", broken->c_str());
    NTP_CHECK(false);
  }
  NTP_CHECK(wire_test::react_keyed(situation) == reaction);  // G14
  if (!reaction) return 0;
  situation.arrival.payload = *reaction;
  std::swap(situation.arrival.source, situation.arrival.local);
  NTP_CHECK(!wire_test::react_keyed(situation));  // no answer to an answer
  return 0;
}

// The golden rules over millions of packets: random ones, and the case table's with a few octets
// changed. NTP_PROPERTY_PACKETS sets how many, NTP_PROPERTY_SEED repeats a run.
#include <gtest/gtest.h>

#include <random>

#include "mutator.h"

namespace ntp::wire_test {
namespace {

using Family = IpAddress::Family;

// What the reply would be for another server of ours that it reaches, from our port 123.
server::Arrival as_arrival(const Situation& s, std::span<const std::byte> reply) {
  server::Arrival back = s.arrival;
  back.payload = reply;
  back.truncated = false;
  std::swap(back.source, back.local);
  return back;
}

TEST(GoldenRules, HoldForMillionsOfPackets) {
  const std::uint64_t packets = from_environment("NTP_PROPERTY_PACKETS", 10'000'000);
  const std::uint64_t seed = from_environment("NTP_PROPERTY_SEED", std::random_device{}());
  std::printf("NTP_PROPERTY_SEED=%llu NTP_PROPERTY_PACKETS=%llu\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(packets));
  Mutator mutator(seed, case_table_path());
  std::array<std::uint64_t, server::kDropCount> silent{};
  std::uint64_t answered = 0;
  for (std::uint64_t i = 0; i < packets; ++i) {
    const Situation& situation = mutator.next();
    const Reaction reaction = react(situation);
    if (!reaction) {
      ++silent[static_cast<std::size_t>(reaction.error())];
      continue;
    }
    ++answered;
    if (const auto broken = broken_rule(situation, reaction)) {
      FAIL() << *broken << "\npacket " << i << " of seed " << seed << "\nrequest "
             << hex(situation.arrival.payload) << "\nreply   " << hex(*reaction) << "\nrec "
             << std::hex << situation.rec.bits << " xmt " << situation.xmt.bits;
    }
    ASSERT_EQ(react(situation), reaction) << "G14: packet " << std::dec << i << " of seed " << seed;
    Situation back = situation;
    back.arrival = as_arrival(situation, *reaction);
    ASSERT_FALSE(react(back)) << "A04: an answer to an answer: packet " << i << " of seed " << seed;
  }
  std::printf("%llu answered", static_cast<unsigned long long>(answered));
  for (std::size_t i = 0; i < silent.size(); ++i) {
    std::printf(", %llu %s", static_cast<unsigned long long>(silent[i]),
                server::kDropLabels[i].data());
    // This server has no keys: cases_keyed.tsv and the fuzzers try them.
    const bool needs_keys = static_cast<server::Drop>(i) == server::Drop::bad_mac ||
                            static_cast<server::Drop>(i) == server::Drop::malformed_nts;
    if (packets >= 1'000'000 && !needs_keys &&
        static_cast<server::Drop>(i) != server::Drop::denied &&
        static_cast<server::Drop>(i) != server::Drop::over_limit) {
      EXPECT_GT(silent[i], packets / 10'000) << server::kDropLabels[i];
    }
  }
  std::printf("\n");
  EXPECT_GT(answered, packets / 20) << "hardly anything was answered: nothing was tried";
}

TEST(GoldenRules, TwoOfOurServersNeverPlayPingPong) {
  // A spoofed packet in the name of the one server to the other: every first octet, both
  // families, the port 123 of a server or any other, at most one reply in the world.
  std::vector<std::byte> payload(48);
  int replies = 0;
  for (unsigned first = 0; first < 256; ++first) {
    payload[0] = static_cast<std::byte>(first);
    for (const Family family : {Family::v4, Family::v6}) {
      for (const std::uint16_t port : {std::uint16_t{123}, std::uint16_t{1123}}) {
        const Case c{.id = "", .section = "", .source = "client", .payload = payload, .expect = {}};
        Situation situation{.arrival = arrival_of(c, family),
                            .clock = server::describe_clock({}, RawTime{}),
                            .rec = {1},
                            .xmt = {2}};
        situation.arrival.source.port = port;
        std::array<std::byte, wire::kHeaderSize> wire_octets{};
        int datagrams = 0;
        for (auto reaction = react(situation); reaction && datagrams < 10;
             reaction = react(situation)) {
          ++datagrams;
          wire_octets = *reaction;
          situation.arrival = as_arrival(situation, wire_octets);
        }
        ASSERT_LE(datagrams, 1) << first;
        replies += datagrams;
      }
    }
  }
  // v1-v4, modes 3 and 1, four leaps, two ports, two families; and v1 mode 0 but from port 123.
  EXPECT_EQ(replies, 4 * 2 * 4 * 2 * 2 + 4 * 2);
}

}  // namespace
}  // namespace ntp::wire_test

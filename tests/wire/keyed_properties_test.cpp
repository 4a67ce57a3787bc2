// The golden rules of a server with keys over millions of packets: the keyed table's cases with a
// few octets changed, most of them made genuine again afterwards. NTP_PROPERTY_PACKETS sets how
// many, NTP_PROPERTY_SEED repeats a run.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "keyed_server.h"
#include "mutator.h"
#include "nts/client_packet.h"

namespace ntp::wire_test {
namespace {

// Situations with requests that are for the most part what a client with keys could have sent.
class KeyedMutator {
 public:
  explicit KeyedMutator(std::uint64_t seed) : dice_(seed), plain_(seed, keyed_table_path()) {}

  // Valid until the next call.
  const Situation& next() {
    situation_ = plain_.next();
    payload_.assign(situation_.arrival.payload.begin(), situation_.arrival.payload.end());
    if ((dice_.next() >> 20) % 8 != 0) {
      // Of a header that nothing answers nothing can be learnt here.
      if (payload_.size() >= 48 && (dice_.next() >> 20) % 4 != 0) payload_[0] = std::byte{0x23};
      make_genuine(payload_, dice_);
    }
    situation_.arrival.payload = payload_;
    return situation_;
  }

 private:
  NoiseSource dice_;
  Mutator plain_;
  Bytes payload_;
  Situation situation_;
};

std::string kind_of(const Bytes& reply) {
  if (reply.size() == 48) return "plain";
  const auto header = wire::parse_header(std::span(reply).first<48>());
  if (header.refid == nts::kKissNtsn && header.stratum == 0) return "nak";
  const auto packet = wire::parse_packet(reply);
  return packet && packet->has_nts_field ? "nts" : "mac";
}

std::uint64_t packets_to_try() {
  const std::uint64_t packets = from_environment("NTP_PROPERTY_PACKETS", 3'000'000);
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return packets / 10;
#endif
#endif
  return packets;
}

// A05, with keys: no reply is longer than its request, and none has to be broken up on its way.
TEST(KeyedGoldenRules, HoldForMillionsOfPackets) {
  const std::uint64_t packets = packets_to_try();
  const std::uint64_t seed = from_environment("NTP_PROPERTY_SEED", std::random_device{}());
  std::printf("NTP_PROPERTY_SEED=%llu NTP_PROPERTY_PACKETS=%llu\n",
              static_cast<unsigned long long>(seed), static_cast<unsigned long long>(packets));
  KeyedMutator mutator(seed);
  std::map<std::string, std::uint64_t> kinds;
  std::map<std::string_view, std::uint64_t> silent;
  for (std::uint64_t i = 0; i < packets; ++i) {
    const Situation& situation = mutator.next();
    const KeyedReaction reaction = react_keyed(situation);
    if (!reaction) {
      ++silent[server::label(reaction.error())];
      continue;
    }
    ++kinds[kind_of(*reaction)];
    if (const auto broken = broken_keyed_rule(situation, reaction)) {
      FAIL() << *broken << "\npacket " << i << " of seed " << seed << "\nrequest "
             << hex(situation.arrival.payload) << "\nreply   " << hex(*reaction);
    }
    if (i % 16 == 0) {
      ASSERT_EQ(react_keyed(situation), reaction) << "G14: packet " << i << " of seed " << seed;
    }
  }
  for (const auto& [kind, count] : kinds) {
    std::printf("%llu %s, ", static_cast<unsigned long long>(count), kind.c_str());
  }
  for (const auto& [why, count] : silent) {
    std::printf("%llu %.*s, ", static_cast<unsigned long long>(count), static_cast<int>(why.size()),
                why.data());
  }
  std::printf("\n");
  if (packets < 100'000) return;
  for (const char* kind : {"plain", "mac", "nts", "nak"}) {
    EXPECT_GT(kinds[kind], packets / 500) << kind << ": hardly any, nothing was tried";
  }
}

// The judge itself: what is wrong in a reply must not pass.
TEST(KeyedGoldenRules, EveryRuleCanFail) {
  const auto table = read_case_table(keyed_table_path());
  const auto situation_of = [&](std::string_view id) {
    const auto found = std::ranges::find(table, id, &Case::id);
    const RawTime now{std::chrono::seconds(1000)};
    const NtpTimestamp rec{0xee7ac40100000000};
    const server::ServerState state{.leap = wire::Leap::none,
                                    .stratum = 3,
                                    .precision = -24,
                                    .refid = server::kRefidHost,
                                    .reftime = {rec.bits - (5ull << 32)},
                                    .at = now};
    return Situation{.arrival = arrival_of(*found, IpAddress::Family::v4),
                     .clock = server::describe_clock(state, now),
                     .rec = rec,
                     .xmt = {rec.bits + 200'000}};
  };
  const auto rule_after = [&](std::string_view id, const auto& change) {
    Situation situation = situation_of(id);
    KeyedReaction reaction = react_keyed(situation);
    EXPECT_EQ(broken_keyed_rule(situation, reaction), std::nullopt) << id;
    change(situation, *reaction);
    return broken_keyed_rule(situation, reaction).value_or("none").substr(0, 3);
  };
  const auto longer = [](Situation&, Bytes& reply) { reply.resize(reply.size() + 4); };
  const auto bare = [](Situation&, Bytes& reply) { reply.resize(48); };
  const auto last_octet = [](Situation&, Bytes& reply) { reply.back() ^= std::byte{1}; };
  const auto origin = [](Situation&, Bytes& reply) { reply[24] ^= std::byte{1}; };
  const auto time_in_it = [](Situation&, Bytes& reply) { reply[40] ^= std::byte{1}; };
  EXPECT_EQ(rule_after("nts/1-placeholders", longer), "G1:");
  EXPECT_EQ(rule_after("nts/1-placeholders", bare), "G8:");
  EXPECT_EQ(rule_after("nts/1-placeholders", last_octet), "G8:");
  EXPECT_EQ(rule_after("nts/1-placeholders", origin), "G6:");
  EXPECT_EQ(rule_after("nts/wrong-c2s", longer), "G8:");
  EXPECT_EQ(rule_after("nts/wrong-c2s", time_in_it), "G10");
  EXPECT_EQ(rule_after("mac/v4-sha256", bare), "G7:");
  EXPECT_EQ(rule_after("mac/v4-sha256", last_octet), "G7:");
  EXPECT_EQ(rule_after("mac/v4-sha256", longer), "G1:");
  Bytes large(1400);
  EXPECT_EQ(rule_after("nts/1-placeholders",
                       [&](Situation& situation, Bytes& reply) {
                         situation.arrival.payload = large;
                         reply.resize(1236);
                       }),
            "A29");
}

}  // namespace
}  // namespace ntp::wire_test

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "case_table.h"
#include "golden_rules.h"

namespace ntp::wire_test {
namespace {

using Family = IpAddress::Family;

const std::vector<Case>& table() {
  static const std::vector<Case> cases = read_case_table(case_table_path());
  return cases;
}

const NtpTimestamp kRec = NtpTimestamp::from(RealTime(std::chrono::seconds(1'790'000'000)));
constexpr RawTime kNow{std::chrono::seconds(1000)};

// A clock that says something else in every field than any request of the table.
const server::ServerState kSynchronised{.leap = wire::Leap::none,
                                        .synchronised = true,
                                        .stratum = 3,
                                        .precision = -24,
                                        .refid = server::kRefidHost,
                                        .reftime = {kRec.bits - (5ull << 32)},
                                        .root_delay_s = 0.001,
                                        .root_dispersion_s = 0.01,
                                        .dispersion_rate = 500e-6,
                                        .at = kNow};
// Nobody keeps the clock, and the policy is to serve no time.
const server::ServerState kRefusing{.leap = wire::Leap::unknown, .at = kNow};

Situation situation_of(const Case& c, Family family,
                       const server::ServerState& state = kSynchronised) {
  return {.arrival = arrival_of(c, family),
          .clock = server::describe_clock(state, kNow),
          .rec = kRec,
          .xmt = {kRec.bits + 200'000},
          .seed = 7};
}

std::string describe(const Reaction& reaction) {
  if (!reaction) return "silence " + std::string(server::label(reaction.error()));
  const auto reply = wire::parse_header(*reaction);
  char text[120];
  std::snprintf(text, sizeof text, "reply version=%d mode=%d poll=%d origin=%016llx", reply.version,
                static_cast<int>(reply.mode), reply.poll,
                static_cast<unsigned long long>(reply.org.bits));
  return text;
}

std::string describe(const Case& c) {
  if (const auto* drop = std::get_if<server::Drop>(&c.expect)) {
    return "silence " + std::string(server::label(*drop));
  }
  const auto& reply = std::get<ExpectedReply>(c.expect);
  char text[120];
  std::snprintf(text, sizeof text, "reply version=%d mode=%d poll=%d origin=%016llx", reply.version,
                reply.mode, reply.poll, static_cast<unsigned long long>(reply.origin));
  return text;
}

// What is a reply and what is silence does not depend on whether there is time to serve.
TEST(WireCases, TheResponderReactsAsTheTableSaysWithTimeAndWithout) {
  std::size_t played = 0;
  for (const server::ServerState& state : {kSynchronised, kRefusing}) {
    const unsigned leap = static_cast<unsigned>(state.leap);
    for (const Family family : {Family::v4, Family::v6}) {
      for (const Case& c : table()) {
        if (!exists_in(c, family)) continue;
        const Situation situation = situation_of(c, family, state);
        const Reaction reaction = react(situation);
        EXPECT_EQ(describe(reaction), describe(c)) << c.id << " (" << c.section << ')';
        EXPECT_EQ(broken_rule(situation, reaction).value_or(""), "") << c.id;
        if (reaction) {
          EXPECT_EQ(std::to_integer<unsigned>((*reaction)[0]) >> 6, leap) << c.id;
        }
        ++played;
      }
    }
  }
  std::printf(
      "wire cases, pure responder: %zu cases, %zu played (IPv4 and IPv6, with time and without)\n",
      table().size(), played);
}

TEST(WireCases, TheTableIsLargeAndCoversEveryReasonAndEverySource) {
  EXPECT_GE(table().size(), 1500u);
  std::set<std::string> ids;
  std::set<std::string> sources;
  std::map<server::Drop, int> reasons;
  int replies = 0;
  for (const Case& c : table()) {
    EXPECT_TRUE(ids.insert(c.id).second) << c.id;
    EXPECT_FALSE(c.section.empty()) << c.id;
    sources.insert(c.source);
    if (const auto* drop = std::get_if<server::Drop>(&c.expect)) {
      ++reasons[*drop];
    } else {
      ++replies;
    }
  }
  EXPECT_GE(replies, 500);
  EXPECT_EQ(sources.size(), 10u);
  for (std::size_t i = 0; i < server::kDropCount; ++i) {
    // The table tells octets and source; where a datagram goes is tests/system/test_serving.py's,
    // whom a configuration denies test_access.py's, who asks too often test_rate.py's.
    if (static_cast<server::Drop>(i) == server::Drop::to_many) continue;
    if (static_cast<server::Drop>(i) == server::Drop::denied) continue;
    if (static_cast<server::Drop>(i) == server::Drop::over_limit) continue;
    // Those of a server with keys stand in the other table: keyed_cases_test.cpp.
    if (static_cast<server::Drop>(i) == server::Drop::bad_mac) continue;
    if (static_cast<server::Drop>(i) == server::Drop::malformed_nts) continue;
    EXPECT_GE(reasons[static_cast<server::Drop>(i)], 10) << server::kDropLabels[i];
  }
}

// The judge itself: a reply that breaks a rule must not pass, or the test above proves nothing.
TEST(GoldenRules, EveryRuleCanFail) {
  const Case plain{.id = "plain",
                   .section = "",
                   .source = "client",
                   .payload = std::vector<std::byte>(48, std::byte{0x23}),
                   .expect = ExpectedReply{}};
  const Situation good = situation_of(plain, Family::v4);
  const Reaction reply = react(good);
  ASSERT_TRUE(reply);
  ASSERT_EQ(broken_rule(good, reply), std::nullopt);
  const struct {
    std::size_t octet;
    unsigned flip;
    const char* rule;
  } breaks[] = {{0, 0x01, "G3"},   {0, 0x08, "G5"},   {24, 0x80, "G6"},  {31, 0x01, "G6"},
                {0, 0xc0, "G9"},   {1, 0x40, "G9"},   {3, 0xf0, "G10"},  {16, 0x01, "G10"},
                {32, 0x01, "G10"}, {40, 0x01, "G10"}, {36, 0x80, "G10"}, {2, 0x01, "G16"},
                {1, 0x01, "G15"},  {4, 0x01, "G15"},  {11, 0x80, "G15"}, {12, 0x01, "G15"}};
  for (const auto& b : breaks) {
    auto octets = *reply;
    octets[b.octet] ^= static_cast<std::byte>(b.flip);
    EXPECT_TRUE(broken_rule(good, octets).value_or("none").starts_with(std::string(b.rule) + ':'))
        << b.octet << ' ' << b.rule;
  }
  const auto rule_for = [&](std::vector<std::byte> payload, std::uint16_t port) {
    Situation situation = good;
    situation.arrival.payload = payload;
    situation.arrival.source.port = port;
    return broken_rule(situation, reply).value_or("none").substr(0, 2);
  };
  const auto request = [](unsigned first, std::size_t size, std::vector<unsigned> tail = {}) {
    std::vector<std::byte> bytes(size, std::byte{0x23});
    bytes[0] = static_cast<std::byte>(first);
    for (std::size_t i = 0; i < tail.size(); ++i) bytes[48 + i] = static_cast<std::byte>(tail[i]);
    return bytes;
  };
  EXPECT_EQ(rule_for(request(0x23, 47), 40'000), "G1");
  EXPECT_EQ(rule_for(request(0x24, 48), 40'000), "G3");
  EXPECT_EQ(rule_for(request(0x2b, 48), 40'000), "G3");
  EXPECT_EQ(rule_for(request(0x08, 48), 123), "G3");
  EXPECT_EQ(rule_for(request(0x23, 1504), 40'000), "G4");
  EXPECT_EQ(rule_for(request(0x23, 50), 40'000), "G4");
  EXPECT_EQ(rule_for(request(0x23, 72), 40'000), "G7");
  EXPECT_EQ(rule_for(request(0x23, 76, {0x20, 5, 0, 32}), 40'000), "G7");
  EXPECT_EQ(rule_for(request(0x1b, 76, {0x20, 5, 0, 28}), 40'000), "G7");
  EXPECT_EQ(rule_for(request(0x23, 76, {0x01, 4, 0, 28}), 40'000), "G8");
  EXPECT_EQ(rule_for(request(0x23, 48), 0), "A0");
}

}  // namespace
}  // namespace ntp::wire_test

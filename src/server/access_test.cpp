#include "server/access.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "base/random.h"

namespace ntp::server {
namespace {

AccessRule rule(const char* text, bool allowed) {
  return {.prefix = *parse_prefix(text), .allowed = allowed};
}
AccessRule allow(const char* text) { return rule(text, true); }
AccessRule deny(const char* text) { return rule(text, false); }

bool allows(const AccessTable& table, const char* address) {
  return table.allows(*parse_ip(address));
}

// What the words say, rule by rule: of those that hold the address the longest, and of equals the
// last.
bool naive(std::span<const AccessRule> rules, bool unlisted, const IpAddress& address) {
  bool verdict = unlisted;
  int longest = -1;
  for (const AccessRule& r : rules) {
    if (!r.prefix.contains(address) || int{r.prefix.length} < longest) continue;
    longest = r.prefix.length;
    verdict = r.allowed;
  }
  return verdict;
}

TEST(AccessTable, WithoutRulesSaysTheSameOfEverybody) {
  for (const bool unlisted : {false, true}) {
    const AccessTable table({}, unlisted);
    for (const char* address : {"0.0.0.0", "255.255.255.255", "::", "ffff::ffff", "192.0.2.1"}) {
      EXPECT_EQ(allows(table, address), unlisted) << address;
    }
  }
}

TEST(AccessTable, LetsTheLongestPrefixDecideInAnyOrder) {
  std::array rules = {allow("10.0.0.0/8"), deny("10.1.0.0/16"),    allow("10.1.2.0/24"),
                      deny("10.1.2.3"),    allow("2001:db8::/32"), deny("2001:db8:0:1::/64")};
  std::ranges::sort(rules, {}, [](const AccessRule& r) { return to_string(r.prefix); });
  do {
    const AccessTable table(rules, false);
    EXPECT_TRUE(allows(table, "10.0.0.0"));
    EXPECT_TRUE(allows(table, "10.255.255.255"));
    EXPECT_FALSE(allows(table, "10.1.0.0"));
    EXPECT_FALSE(allows(table, "10.1.255.255"));
    EXPECT_TRUE(allows(table, "10.2.0.0"));
    EXPECT_TRUE(allows(table, "10.1.2.2"));
    EXPECT_FALSE(allows(table, "10.1.2.3"));
    EXPECT_TRUE(allows(table, "10.1.2.4"));
    EXPECT_FALSE(allows(table, "9.255.255.255"));
    EXPECT_FALSE(allows(table, "11.0.0.0"));
    EXPECT_TRUE(allows(table, "2001:db8::1"));
    EXPECT_FALSE(allows(table, "2001:db8:0:1:ffff::"));
    EXPECT_TRUE(allows(table, "2001:db8:0:2::"));
    EXPECT_FALSE(allows(table, "2001:db9::"));
    EXPECT_FALSE(allows(table, "::ffff:10.0.0.1"));  // who writes IPv6 on the wire is not in 10/8
  } while (std::ranges::next_permutation(rules, {}, [](const AccessRule& r) {
             return to_string(r.prefix);
           }).found);
}

TEST(AccessTable, ReachesBothEndsOfTheAddresses) {
  const std::array rules = {deny("0.0.0.0/1"), deny("255.255.255.255"), deny("::"),
                            deny("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")};
  const AccessTable table(rules, true);
  EXPECT_FALSE(allows(table, "0.0.0.0"));
  EXPECT_FALSE(allows(table, "127.255.255.255"));
  EXPECT_TRUE(allows(table, "128.0.0.0"));
  EXPECT_TRUE(allows(table, "255.255.255.254"));
  EXPECT_FALSE(allows(table, "255.255.255.255"));
  EXPECT_FALSE(allows(table, "::"));
  EXPECT_TRUE(allows(table, "::1"));
  EXPECT_FALSE(allows(table, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
}

// Every set of up to three rules out of all prefixes of 0 to 3 bits, and every address of them.
TEST(AccessTable, IsTheNaiveSearchForEverySmallSetOfRules) {
  std::vector<AccessRule> all;
  for (unsigned length = 0; length <= 3; ++length) {
    for (unsigned bits = 0; bits < (1u << length); ++bits) {
      const auto top = static_cast<std::uint8_t>(length == 0 ? 0 : bits << (8 - length));
      for (const bool allowed : {false, true}) {
        all.push_back({.prefix = {IpAddress::v4(top, 0, 0, 0), static_cast<std::uint8_t>(length)},
                       .allowed = allowed});
      }
    }
  }
  std::size_t sets = 0;
  for (const AccessRule& a : all) {
    for (const AccessRule& b : all) {
      for (const AccessRule& c : all) {
        const std::array rules = {a, b, c};
        for (const bool unlisted : {false, true}) {
          const AccessTable table(rules, unlisted);
          ++sets;
          for (unsigned top = 0; top < 256; top += 32) {
            for (const std::uint8_t rest : {std::uint8_t{0x00}, std::uint8_t{0xff}}) {
              const auto address =
                  IpAddress::v4(static_cast<std::uint8_t>(top | (rest & 31u)), rest, rest, rest);
              ASSERT_EQ(table.allows(address), naive(rules, unlisted, address))
                  << to_string(a.prefix) << ' ' << to_string(b.prefix) << ' ' << to_string(c.prefix)
                  << ' ' << to_string(address);
            }
          }
        }
      }
    }
  }
  EXPECT_EQ(sets, 30u * 30 * 30 * 2);
}

// Addresses that share bits, so that rules nest.
IpAddress any_address(NoiseSource& noise) {
  IpAddress address;
  if (noise.next() % 2 == 0) address.family = IpAddress::Family::v6;
  for (std::size_t i = 0; i < (address.is_v4() ? 4u : 16u); ++i) {
    const std::uint64_t bits = noise.next();
    address.octets[i] =
        static_cast<std::uint8_t>(bits % 3 == 0 ? bits >> 8 : (bits >> 8 & 1) * 255);
  }
  return address;
}

TEST(AccessTable, IsTheNaiveSearchForRandomRules) {
  const char* given = std::getenv("NTP_PROPERTY_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::printf("NTP_PROPERTY_SEED=%llu\n", static_cast<unsigned long long>(seed));
  NoiseSource noise(seed);
  for (int round = 0; round < 300; ++round) {
    std::vector<AccessRule> rules;
    const std::size_t count = noise.next() % (round % 10 == 0 ? 2000 : 40);
    for (std::size_t i = 0; i < count; ++i) {
      const IpAddress address = any_address(noise);
      const auto length = static_cast<std::uint8_t>(noise.next() % (address.is_v4() ? 33 : 129));
      rules.push_back(
          {.prefix = {masked(address, length), length}, .allowed = noise.next() % 2 == 0});
    }
    const bool unlisted = noise.next() % 2 == 0;
    const AccessTable table(rules, unlisted);
    for (int i = 0; i < 300; ++i) {
      IpAddress address = any_address(noise);
      if (!rules.empty() && i % 2 == 0) {  // around the edges of a rule
        address = rules[noise.next() % rules.size()].prefix.address;
        const std::size_t at = address.is_v4() ? 3 : 15;
        address.octets[at] = static_cast<std::uint8_t>(address.octets[at] + noise.next() % 3 - 1);
      }
      ASSERT_EQ(table.allows(address), naive(rules, unlisted, address))
          << "round " << round << ": " << to_string(address);
    }
  }
}

TEST(AccessTable, JoinsNeighboursThatSayTheSame) {
  std::vector<AccessRule> rules;
  for (unsigned i = 0; i < 256; ++i) {
    rules.push_back(
        {.prefix = {IpAddress::v4(10, static_cast<std::uint8_t>(i), 0, 0), 16}, .allowed = true});
  }
  EXPECT_EQ(AccessTable(rules, false).ranges(), 4u);  // below, 10.0.0.0/8, above; all of IPv6
}

}  // namespace
}  // namespace ntp::server

#include "clock/leap.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "clock/dice_test.h"
#include "clock/sha1.h"

namespace ntp::clock {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using namespace std::chrono_literals;

RealTime utc(int year, unsigned month, unsigned day, std::chrono::seconds time = 0s) {
  using namespace std::chrono;
  const sys_days date(
      year_month_day{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)});
  return RealTime(date.time_since_epoch()) + time;
}

// The form of the published files, with the entries that decide; the hash is of these lines.
constexpr char kList[] =
    "#\tLeap seconds\n"
    "#$\t3960835200\n"
    "#@\t3991593600\n"
    "2272060800\t10\t# 1 Jan 1972\n"
    "2287785600      11      # 1 Jul 1972\n"
    "2303683200\t12\n"
    "\n";

TEST(LeapList, EntriesExpiryAndTaiOffsetAreRead) {
  const auto table = parse_leap_list(kList);
  ASSERT_TRUE(table.has_value());
  ASSERT_EQ(table->entries.size(), 3u);
  EXPECT_EQ(table->entries[0].at, utc(1972, 1, 1));
  EXPECT_EQ(table->expires, utc(2026, 6, 28));
  EXPECT_FALSE(table->hash_verified);
  EXPECT_EQ(tai_offset_s(*table, utc(1971, 1, 1)), std::nullopt);
  EXPECT_EQ(tai_offset_s(*table, utc(1972, 7, 1) - 1ns), 10);
  EXPECT_EQ(tai_offset_s(*table, utc(1972, 7, 1)), 11);
}

TEST(LeapList, TheSystemsOwnFileIsReadAndItsHashIsRight) {
  std::ifstream file("/usr/share/zoneinfo/leap-seconds.list");
  if (!file) GTEST_SKIP() << "tzdata is not installed";
  std::stringstream text;
  text << file.rdbuf();
  const auto table = parse_leap_list(text.str());
  ASSERT_TRUE(table.has_value()) << describe(table.error());
  EXPECT_TRUE(table->hash_verified);
  EXPECT_EQ(tai_offset_s(*table, utc(2020, 1, 1)), 37);
  EXPECT_EQ(leap_today(utc(2016, 12, 31, 1h), &*table, {}),
            (PlannedLeap{wire::Leap::insert, utc(2017, 1, 1)}));
  std::string wrong = text.str();
  wrong.replace(wrong.find("3692217600      37"), 18, "3692217600      36");
  EXPECT_FALSE(parse_leap_list(wrong).has_value());
}

TEST(LeapList, WhatIsWrongIsSaidWithItsLine) {
  const auto error = [](std::string text) {
    const auto table = parse_leap_list(text);
    return table ? "accepted" : describe(table.error());
  };
  const std::string good = kList;
  EXPECT_EQ(error(""), "leap second list: the file has no entry");
  EXPECT_EQ(error("2272060800 10\n"), "leap second list: the file has no expiry date (#@)");
  EXPECT_EQ(error(good + "hello\n"), "leap second list: line 8 is neither a comment nor an entry");
  EXPECT_EQ(error(good + "2303683201 13\n"),
            "leap second list: line 8 is neither a comment nor an entry")
      << "not midnight";
  EXPECT_EQ(error(good + "2335219200 14\n"),
            "leap second list: line 8 does not follow from the entry before");
  EXPECT_EQ(error(good + "2303683200 13\n"),
            "leap second list: line 8 does not follow from the entry before");
  EXPECT_EQ(error(good + "#h 1 2 3 4 5\n"),
            "leap second list: the file does not match its own hash (#h)");
  EXPECT_EQ(error(good + "#h 1 2 3 4\n"),
            "leap second list: line 8 is neither a comment nor an entry");
  EXPECT_EQ(error(good + "99999999999999999999 13\n"),
            "leap second list: line 8 is neither a comment nor an entry");
  EXPECT_EQ(error(std::string(kMaxLeapList + 1, '#')), "leap second list: the file is too long");
}

TEST(LeapList, EntriesAfterTheEraOf2036AreRead) {
  // 2037-07-01 in seconds since 1900, more than 32 bits hold.
  const std::string text = fmt::format("{}4339008000 13\n#@ 4354905600\n", kList);
  const auto table = parse_leap_list(text);
  ASSERT_TRUE(table.has_value()) << describe(table.error());
  EXPECT_EQ(table->entries.back().at, utc(2037, 6, 30) + 24h);
  EXPECT_EQ(leap_today(utc(2037, 6, 30, 12h), &*table, {}),
            (PlannedLeap{wire::Leap::insert, utc(2037, 7, 1)}));
}

TEST(LeapList, NoGarbageIsReadBeyondItsEnd) {
  std::mt19937_64 dice = seeded_dice(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = kList;
    for (int k = 0; k < 3; ++k) text[dice() % (sizeof kList - 1)] = static_cast<char>(dice());
    text.resize(dice() % (text.size() + 1));
    const auto table = parse_leap_list(text);
    if (!table) continue;
    for (std::size_t k = 1; k < table->entries.size(); ++k) {
      ASSERT_LT(table->entries[k - 1].at, table->entries[k].at);
    }
  }
}

TEST(Sha1, AgreesWithThePublishedVectors) {  // FIPS 180-4
  using Hash = std::array<std::uint32_t, 5>;
  EXPECT_EQ(sha1("abc"), (Hash{0xa9993e36, 0x4706816a, 0xba3e2571, 0x7850c26c, 0x9cd0d89d}));
  EXPECT_EQ(sha1(""), (Hash{0xda39a3ee, 0x5e6b4b0d, 0x3255bfef, 0x95601890, 0xafd80709}));
  EXPECT_EQ(sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            (Hash{0x84983e44, 0x1c3bd26e, 0xbaae4aa1, 0xf95129e5, 0xe54670f1}));
  EXPECT_EQ(sha1(std::string(1'000'000, 'a')),
            (Hash{0x34aa973c, 0xd4c4daa4, 0xf61eeb2b, 0xdbad2731, 0x6534016f}));
}

TEST(LeapSecond, OnlyTheLastDayOfAQuarterMayEndInOne) {
  int possible = 0;
  for (int day = 0; day < 4 * 365 + 1; ++day) {
    const RealTime noon = utc(2024, 1, 1, 12h) + std::chrono::days(day);
    const auto midnight = possible_leap(noon);
    possible += midnight ? 1 : 0;
    ASSERT_TRUE(!midnight || *midnight - noon == 12h);
  }
  EXPECT_EQ(possible, 16);
  EXPECT_EQ(possible_leap(utc(2026, 6, 30)), utc(2026, 7, 1));
  EXPECT_EQ(possible_leap(utc(2026, 7, 1) - 1ns), utc(2026, 7, 1));
  EXPECT_EQ(possible_leap(utc(2026, 7, 1)), std::nullopt);
  EXPECT_EQ(possible_leap(utc(2026, 1, 31)), std::nullopt);
}

TEST(LeapSecond, AMajorityOfAllSourcesDecidesOnTheDayItself) {
  const RealTime day = utc(2026, 12, 31, 5h);
  EXPECT_EQ(leap_today(day, nullptr, {.insert = 2, .all = 4}), std::nullopt);
  EXPECT_EQ(leap_today(day, nullptr, {.insert = 3, .all = 4}),
            (PlannedLeap{wire::Leap::insert, utc(2027, 1, 1)}));
  EXPECT_EQ(leap_today(day, nullptr, {.remove = 1, .all = 1}),
            (PlannedLeap{wire::Leap::remove, utc(2027, 1, 1)}));
  EXPECT_EQ(leap_today(utc(2026, 12, 30), nullptr, {.insert = 4, .all = 4}), std::nullopt);
  EXPECT_EQ(leap_today(day, nullptr, {}), std::nullopt);
}

TEST(LeapSecond, AListThatHasNotExpiredOverrulesTheSources) {
  auto table = parse_leap_list(kList);
  const RealTime day = utc(2026, 3, 31, 5h);
  EXPECT_EQ(leap_today(day, &*table, {.insert = 4, .all = 4}), std::nullopt);
  table->expires = day - 1s;
  EXPECT_TRUE(leap_today(day, &*table, {.insert = 4, .all = 4}).has_value());
}

TEST(LeapSecond, TheReadingForATimeIsFoundToTheNanosecond) {
  std::mt19937_64 dice = seeded_dice(8);
  for (int i = 0; i < 100'000; ++i) {
    const ClockMap map{RawTime(seconds(dice() % 1'000'000)),
                       utc(2026, 1, 1) + nanoseconds(dice() % 1'000'000'000'000),
                       uniform(dice, -1e-6, 1e-6)};
    const RealTime target = map.real + nanoseconds(dice() % 80'000'000'000'000'000);  // 2.5 years
    ASSERT_LE(std::abs((map(raw_at(map, target)) - target).count()), 1);
  }
}

// What is true in the scale that is served: the elapsed seconds, less the inserted one.
TEST(LeapSecond, TheServedTimeHasNoErrorOnEitherSideOfTheStep) {
  for (const wire::Leap kind : {wire::Leap::insert, wire::Leap::remove}) {
    for (const double rate : {0.0, 50e-6, -50e-6}) {
      const RealTime midnight = utc(2026, 7, 1);
      const ClockMap map{RawTime(seconds(100)), midnight - 10s, rate};
      const LeapingMap served = leaping(map, {kind, midnight});
      RealTime before = served(map.at);
      for (auto raw = map.at; raw < map.at + 20s; raw += milliseconds(1)) {
        const RealTime plain = map(raw);
        const bool inserted = kind == wire::Leap::insert && plain >= midnight;
        const bool removed = kind == wire::Leap::remove && plain >= midnight - 1s;
        ASSERT_EQ(served(raw), plain - (inserted ? 1s : 0s) + (removed ? 1s : 0s));
        // Never a time of the second that does not exist.
        if (kind == wire::Leap::remove) {
          ASSERT_FALSE(served(raw) >= midnight - 1s && served(raw) < midnight);
        } else {
          ASSERT_FALSE(before < midnight && served(raw) >= midnight && plain < midnight + 1s);
        }
        before = served(raw);
      }
    }
  }
}

}  // namespace
}  // namespace ntp::clock

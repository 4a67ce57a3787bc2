#include "config/units.h"

#include <gtest/gtest.h>

#include <random>

namespace ntp::config {
namespace {

using namespace std::chrono_literals;

TEST(ParseDuration, ReadsEveryUnitAndFractionsExactly) {
  const struct {
    const char* text;
    std::chrono::nanoseconds expected;
  } cases[] = {
      {"100ms", 100ms},
      {"1.5s", 1500ms},
      {"2us", 2us},
      {"3ns", 3ns},
      {"0s", 0ns},
      {"0.000000001s", 1ns},
      {"1.000001ms", 1'000'001ns},
      {"1.50000000000000000000s", 1500ms},
      {"007s", 7s},
      {"9223372035s", 9223372035s},
      {"3.0ns", 3ns},
  };
  for (const auto& c : cases) {
    const auto duration = parse_duration(c.text);
    ASSERT_TRUE(duration.has_value()) << c.text;
    EXPECT_EQ(duration->count(), c.expected.count()) << c.text;
  }
}

TEST(ParseDuration, SaysWhyItRefuses) {
  const struct {
    const char* text;
    DurationError expected;
  } cases[] = {
      {"", DurationError::not_a_duration},
      {"ms", DurationError::not_a_duration},
      {".5s", DurationError::not_a_duration},
      {"1.s", DurationError::not_a_duration},
      {"-1s", DurationError::not_a_duration},
      {"+1s", DurationError::not_a_duration},
      {"1 s", DurationError::not_a_duration},
      {"1s ", DurationError::not_a_duration},
      {"1S", DurationError::not_a_duration},
      {"1m", DurationError::not_a_duration},
      {"1e3ms", DurationError::not_a_duration},
      {"1,5s", DurationError::not_a_duration},
      {"0x1s", DurationError::not_a_duration},
      {"100", DurationError::no_unit},
      {"1.5", DurationError::no_unit},
      {"0", DurationError::no_unit},
      {"0.5ns", DurationError::too_fine},
      {"1.0000000001s", DurationError::too_fine},
      {"9223372036s", DurationError::too_long},
      {"9223372036854775807ns", DurationError::too_long},
      {"99999999999999999999ns", DurationError::too_long},
  };
  for (const auto& c : cases) {
    const auto duration = parse_duration(c.text);
    ASSERT_FALSE(duration.has_value()) << c.text;
    EXPECT_EQ(duration.error(), c.expected) << c.text;
  }
}

TEST(ShowDuration, IsShortAndParsesBackToTheSame) {
  EXPECT_EQ(show_duration(1500ms), "1.5s");
  EXPECT_EQ(show_duration(100ms), "100ms");
  EXPECT_EQ(show_duration(1'000'001us), "1.000001s");
  EXPECT_EQ(show_duration(1001ns), "1.001us");
  EXPECT_EQ(show_duration(999ns), "999ns");
  EXPECT_EQ(show_duration(0ns), "0s");
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const auto bits = static_cast<int>(random() % 62);
    const std::chrono::nanoseconds duration(static_cast<std::int64_t>(random() >> (64 - bits - 1)));
    const auto again = parse_duration(show_duration(duration));
    if (duration >= 9223372036s) continue;
    ASSERT_TRUE(again.has_value()) << show_duration(duration);
    ASSERT_EQ(again->count(), duration.count());
  }
}

TEST(ParseBoolean, KnowsTheWordsOfTheCommonImages) {
  for (const char* word : {"Y", "y", "yes", "YES", "true", "True", "1", "on", "ON"}) {
    EXPECT_EQ(parse_boolean(word), true) << word;
  }
  for (const char* word : {"N", "n", "no", "false", "FALSE", "0", "off"}) {
    EXPECT_EQ(parse_boolean(word), false) << word;
  }
  for (const char* word : {"", "2", "maybe", "tru", "yes ", "-1"}) {
    EXPECT_EQ(parse_boolean(word), std::nullopt) << word;
  }
}

TEST(ParseUser, TakesNumbersOnly) {
  const auto both = parse_user("65532");
  ASSERT_TRUE(both.has_value());
  EXPECT_EQ(both->uid, 65532u);
  EXPECT_EQ(both->gid, 65532u);
  const auto each = parse_user("1:4294967294");
  ASSERT_TRUE(each.has_value());
  EXPECT_EQ(each->uid, 1u);
  EXPECT_EQ(each->gid, 4294967294u);
  for (const char* text : {"", ":", "1:", ":1", "ntp", "-1", "1:-1", "4294967295", "1:4294967295",
                           "4294967296", "1:2:3", " 1", "0x1"}) {
    EXPECT_FALSE(parse_user(text).has_value()) << text;
  }
}

TEST(Quote, LeavesNothingThatCouldSteerATerminal) {
  EXPECT_EQ(quote("plain"), "\"plain\"");
  EXPECT_EQ(quote("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(quote("\x1b[31m\n\x7f"), R"("\u001B[31m\u000A\u007F")");
  EXPECT_EQ(quote("\xc3\xbc"), R"("\xC3\xBC")");
}

}  // namespace
}  // namespace ntp::config

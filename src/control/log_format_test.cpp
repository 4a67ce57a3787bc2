#include "control/log_format.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace ntp::control {
namespace {

using config::LogFormat;
using config::LogLevel;
using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr RealTime kTime{1'795'393'165'123'456'789ns};

std::string line(LogEvent event, LogFormat format) {
  event.time = kTime;
  return format_line(event, format, 1h);
}

TEST(LogFormat, TextIsForPeople) {
  EXPECT_EQ(line({.message = "Local socket:  ('0.0.0.0', 123)"}, LogFormat::text),
            "2026-11-23T01:19:25.123+01:00 info    Local socket:  ('0.0.0.0', 123)");
  EXPECT_EQ(line({.level = LogLevel::warning,
                  .message = "host clock",
                  .fields = {{"state", "lost"}, {"why", "too uncertain"}, {"empty", ""}}},
                 LogFormat::text),
            "2026-11-23T01:19:25.123+01:00 warning host clock state=lost why=\"too uncertain\" "
            "empty=\"\"");
  EXPECT_EQ(line({.level = LogLevel::error, .message = "m"}, LogFormat::text).substr(30),
            "error   m");
  EXPECT_EQ(line({.level = LogLevel::debug, .message = "m"}, LogFormat::text).substr(30),
            "debug   m");
}

TEST(LogFormat, JsonAndLogfmtAreForMachines) {
  const LogEvent event{.message = "a \"b\"", .fields = {{"address", "[::1]:123"}, {"x", "a=b"}}};
  EXPECT_EQ(line(event, LogFormat::json),
            R"({"time":"2026-11-23T01:19:25.123+01:00","level":"info","message":"a \"b\"",)"
            R"("address":"[::1]:123","x":"a=b"})");
  EXPECT_EQ(line(event, LogFormat::logfmt),
            R"(time=2026-11-23T01:19:25.123+01:00 level=info msg="a \"b\"" )"
            R"(address=[::1]:123 x="a=b")");
}

TEST(LogFormat, NothingForgesALineOrMovesACursor) {
  const std::string evil = "a\nb\r\tc\x1b[2J\x7f\x9b\xff\0\\d"s;
  const std::string text = line({.message = evil, .fields = {{"v", evil}}}, LogFormat::text);
  EXPECT_EQ(text.substr(38), R"(a\nb\r\tc\u001b[2J\u007f\x9b\xff\u0000\\d )"
                             R"(v="a\nb\r\tc\u001b[2J\u007f\\x9b\\xff\u0000\\d")");
}

TEST(LogFormat, UnicodeThatReordersOrBreaksLinesIsEscapedTheRestIsNot) {
  const auto shown = [](const std::string& message) {
    return line({.message = message}, LogFormat::text).substr(38);
  };
  EXPECT_EQ(shown("Zürich 東京 🕰"), "Zürich 東京 🕰");
  EXPECT_EQ(shown("\u202e\u2066\u200b\ufeff\u2028\u0085\u061c"),
            R"(\u202e\u2066\u200b\ufeff\u2028\u0085\u061c)");
}

TEST(LogFormat, WhatIsNoUtf8IsShownOctetByOctet) {
  const auto shown = [](const std::string& message) {
    return line({.message = message}, LogFormat::text).substr(38);
  };
  EXPECT_EQ(shown("\xc0\xaf"), R"(\xc0\xaf)") << "overlong";
  EXPECT_EQ(shown("\xe0\x80\xaf"), R"(\xe0\x80\xaf)") << "overlong";
  EXPECT_EQ(shown("\xed\xa0\x80"), R"(\xed\xa0\x80)") << "surrogate";
  EXPECT_EQ(shown("\xf4\x90\x80\x80"), R"(\xf4\x90\x80\x80)") << "over U+10FFFF";
  EXPECT_EQ(shown("\xe2\x82"), R"(\xe2\x82)") << "cut short";
  EXPECT_EQ(shown("\xe2\x82"
                  "a"),
            R"(\xe2\x82a)")
      << "interrupted";
  EXPECT_EQ(shown("\x80"), R"(\x80)");
}

TEST(LogFormat, NamesOfFieldsCannotForgeEither) {
  const LogEvent event{.message = "m", .fields = {{"a b=\n\"", "v"}}};
  EXPECT_EQ(line(event, LogFormat::text).substr(38), "m a_b___=v");
  EXPECT_EQ(nlohmann::json::parse(line(event, LogFormat::json))["a_b___"], "v");
}

// Any octets: one line, valid UTF-8, no control character; and JSON gives valid text back whole.
TEST(LogFormat, HoldsForAnyOctets) {
  std::mt19937 dice(20261123);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (auto size = dice() % 12; size > 0; --size) {
      constexpr std::string_view kNasty = "\n\r\x1b\"\\= \xe2\x80\xae\xf0\x9f\xff\x00\x7f";
      text += dice() % 2 ? kNasty[dice() % kNasty.size()] : static_cast<char>(dice());
    }
    const LogEvent event{.message = text, .fields = {{"v", text}}};
    for (const auto format : {LogFormat::text, LogFormat::json, LogFormat::logfmt}) {
      const std::string out = line(event, format);
      for (const char c : out) {
        ASSERT_GE(static_cast<unsigned char>(c), 0x20) << testing::PrintToString(text);
        ASSERT_NE(c, 0x7f);
      }
      // dump() throws when the text is not UTF-8.
      ASSERT_NO_THROW((void)nlohmann::json(out).dump()) << testing::PrintToString(text);
    }
    const auto parsed = nlohmann::json::parse(line(event, LogFormat::json));
    ASSERT_EQ(parsed["message"], parsed["v"]);
    try {
      (void)nlohmann::json(text).dump();
      ASSERT_EQ(parsed["v"], text);
    } catch (const nlohmann::json::type_error&) {
      ASSERT_NE(parsed["v"], text);  // told in words
    }
  }
}

TEST(LogLimiter, GrantsTenAtOnceAndTenASecond) {
  LogLimiter limiter;
  RawTime now{1000s};
  int granted = 0;
  for (int i = 0; i < 1000; ++i) granted += limiter.ask(now).granted ? 1 : 0;
  EXPECT_EQ(granted, 10);
  now += 1s;
  const auto permit = limiter.ask(now);
  EXPECT_TRUE(permit.granted);
  EXPECT_EQ(permit.suppressed, 990u);
}

TEST(LogLimiter, AFloodOfAMillionLeavesAtMostAHundredAndTenLinesInTenSeconds) {
  LogLimiter limiter;
  RawTime now{1000s};
  std::uint64_t lines = 0;
  std::uint64_t told = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    now += 10us;
    const auto permit = limiter.ask(now);
    lines += (permit.granted ? 1u : 0u) + (permit.suppressed > 0 ? 1u : 0u);
    told += (permit.granted ? 1u : 0u) + permit.suppressed;
  }
  EXPECT_LE(lines, 110u);
  EXPECT_GE(lines, 90u);
  EXPECT_GE(told, 980'000u) << "those suppressed are accounted for";
}

TEST(LogLimiter, TellsOfLinesThatWereLostBeforeAnybodyAsked) {
  LogLimiter limiter;
  const RawTime now{1000s};
  limiter.add_suppressed(5);
  EXPECT_EQ(limiter.ask(now).suppressed, 5u);
  limiter.add_suppressed(7);
  EXPECT_EQ(limiter.settle(now).suppressed, 7u);
  EXPECT_FALSE(limiter.settle(now).granted) << "once";
}

TEST(LogLimiter, LeavesAQuietSpeakerAlone) {
  LogLimiter limiter;
  RawTime now{};  // also at the very beginning of time
  for (int i = 0; i < 1000; ++i) {
    const auto permit = limiter.ask(now);
    EXPECT_TRUE(permit.granted);
    EXPECT_EQ(permit.suppressed, 0u);
    now += 100ms;
  }
}

TEST(LogLimiter, TellsOfThoseSuppressedOnceTheFloodIsOver) {
  LogLimiter limiter;
  RawTime now{1000s};
  EXPECT_FALSE(limiter.settle(now).granted) << "there is nothing to tell";
  for (int i = 0; i < 17; ++i) limiter.ask(now);
  EXPECT_FALSE(limiter.settle(now).granted) << "nor is there a line left for it";
  now += 100ms;
  const auto permit = limiter.settle(now);
  EXPECT_TRUE(permit.granted);
  EXPECT_EQ(permit.suppressed, 7u);
  EXPECT_FALSE(limiter.settle(now + 1s).granted) << "it is told once";
  EXPECT_FALSE(limiter.ask(now).granted) << "the line that told was paid for";
  EXPECT_TRUE(limiter.ask(now + 200ms).granted);
}

}  // namespace
}  // namespace ntp::control

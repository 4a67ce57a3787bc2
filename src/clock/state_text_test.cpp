#include "clock/state_text.h"

#include <gtest/gtest.h>

#include <cmath>

#include "clock/dice_test.h"

namespace ntp::clock {
namespace {

const char* kBoot = "01234567-89ab-cdef-0123-456789abcdef";

SavedState sample() {
  return {.boot = kBoot,
          .time = RealTime(std::chrono::nanoseconds(1'790'000'000'123'456'789)),
          .memory = {-1.234e-5, 2e-9, 1e-19}};
}

SavedState any_state(std::mt19937_64& dice) {
  SavedState s{.boot = dice() % 4 ? kBoot : "",
               .time = RealTime(std::chrono::nanoseconds(dice() >> 1))};
  if (dice() % 4) {
    s.memory = {uniform(dice, -0.1, 0.1), std::exp(uniform(dice, -30, -3)),
                std::exp(uniform(dice, -60, -3))};
  }
  return s;
}

std::string error_of(std::string_view text) {
  const auto state = parse_state(text);
  return state ? "accepted" : describe(state.error());
}

// The same text with the right checksum for it.
std::string sealed(std::string body) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : body) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  char line[32];
  std::snprintf(line, sizeof line, "checksum %016llx\n", static_cast<unsigned long long>(hash));
  return body + line;
}

TEST(StateText, ReadsAsDocumented) {
  EXPECT_EQ(format_state(sample()),
            sealed("ntp-server-state 1\nboot 01234567-89ab-cdef-0123-456789abcdef\n"
                   "time 1790000000123456789\nfrequency -1.234e-05\n"
                   "frequency_deviation 2e-09\nwander 1e-19\n"));
}

TEST(StateText, IsTrustedLessWithAgeAndAfterAnotherBoot) {
  SavedState state = sample();
  state.memory = {-1.234e-5, 3e-9, 1e-20};
  const auto after = [&](double s, std::string_view boot) {
    return recall(state, boot, state.time + std::chrono::nanoseconds(std::llround(s * 1e9)));
  };
  EXPECT_EQ(after(0, kBoot).rate, -1.234e-5);
  EXPECT_EQ(after(0, kBoot).wander, 1e-20);
  EXPECT_DOUBLE_EQ(after(0, kBoot).rate_sd, 3e-9);
  EXPECT_DOUBLE_EQ(after(1600, kBoot).rate_sd, 5e-9);
  EXPECT_NEAR(after(0, "another").rate_sd, kOtherBootRate, 1e-9);
  EXPECT_NEAR(after(0, "").rate_sd, kOtherBootRate, 1e-9) << "nobody knows which";
  EXPECT_NEAR(after(-1, kBoot).rate_sd, kOtherBootRate, 1e-9) << "a clock went back";
  state.memory = {};
  EXPECT_EQ(after(9, "another").rate_sd, 0) << "what was unknown stays unknown";
}

TEST(StateText, WhatIsWrittenComesBackToTheLastBit) {
  std::mt19937_64 dice = seeded_dice(77);
  for (int i = 0; i < 20'000; ++i) {
    const SavedState state = any_state(dice);
    const auto back = parse_state(format_state(state));
    ASSERT_TRUE(back.has_value()) << describe(back.error()) << '\n' << format_state(state);
    ASSERT_EQ(back->boot, state.boot);
    ASSERT_EQ(back->time, state.time);
    ASSERT_EQ(back->memory.rate, state.memory.rate);
    ASSERT_EQ(back->memory.rate_sd, state.memory.rate_sd);
    ASSERT_EQ(back->memory.wander, state.memory.wander);
  }
}

TEST(StateText, NoTornFileIsAccepted) {
  const std::string text = format_state(sample());
  for (std::size_t size = 0; size < text.size(); ++size) {
    ASSERT_FALSE(parse_state(text.substr(0, size)).has_value()) << size;
    std::string holed = text;  // a block that never reached the disk
    std::fill(holed.begin() + static_cast<std::ptrdiff_t>(size), holed.end(), '\0');
    ASSERT_FALSE(parse_state(holed).has_value()) << size;
  }
  EXPECT_FALSE(parse_state(text + text).has_value());
  EXPECT_FALSE(parse_state(text + "\n").has_value());
}

TEST(StateText, NoFlippedBitIsAccepted) {
  const std::string text = format_state(sample());
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string wrong = text;
      wrong[at] = static_cast<char>(wrong[at] ^ (1 << bit));
      ASSERT_FALSE(parse_state(wrong).has_value()) << at << " bit " << bit;
    }
  }
}

TEST(StateText, NoGarbledFileIsAccepted) {
  std::mt19937_64 dice = seeded_dice(78);
  for (int i = 0; i < 200'000; ++i) {
    const std::string text = format_state(any_state(dice));
    std::string wrong = text;
    for (auto n = 1 + dice() % 6; n > 0; --n) {
      const std::size_t at = dice() % wrong.size();
      switch (dice() % 4) {
        case 0:
          wrong[at] = static_cast<char>(dice());
          break;
        case 1:
          wrong.erase(at, 1 + dice() % 20);
          break;
        case 2:
          wrong.insert(at, wrong.substr(dice() % wrong.size(), 1 + dice() % 20));
          break;
        default:
          std::swap(wrong[at], wrong[dice() % wrong.size()]);
      }
      if (wrong.empty()) wrong = "x";
    }
    ASSERT_TRUE(wrong == text || !parse_state(wrong).has_value()) << wrong;
  }
}

TEST(StateText, ErrorsNameTheLineAndTheReason) {
  const std::string head = "ntp-server-state 1\nboot x\n";
  const std::string rest = "frequency 0\nfrequency_deviation 0\nwander 0\n";
  EXPECT_EQ(error_of(""), "state file, line 1: not a state file");
  EXPECT_EQ(error_of("[server]\n"), "state file, line 1: not a state file");
  EXPECT_EQ(error_of("ntp-server-state 2\n"), "state file, line 1: written by a later version");
  EXPECT_EQ(error_of(head + "time 0\n" + rest), "state file: torn: no checksum");
  EXPECT_EQ(error_of(head + "time 0\n" + rest + "checksum 0123456789abcdef\n"),
            "state file: wrong checksum");
  EXPECT_EQ(error_of(sealed(head + "time 0\nfrequency 0\nwander 0")),
            "state file: torn: no checksum")
      << "in the middle of a line";
  EXPECT_EQ(error_of(sealed(head + "time x\n" + rest)),
            "state file, line 3: not as it was written");
  EXPECT_EQ(error_of(sealed(head + "time -1\n" + rest)),
            "state file, line 3: a number that cannot be true");
  for (const char* bad : {"nan", "inf", "0.2", "-0.2"}) {
    EXPECT_EQ(
        error_of(sealed(head + "time 0\nfrequency " + bad + "\nfrequency_deviation 0\nwander 0\n")),
        "state file, line 4: a number that cannot be true")
        << bad;
  }
  EXPECT_EQ(error_of(sealed(head + "time 0\n" + rest + "more 1\n")),
            "state file, line 7: not as it was written");
  EXPECT_EQ(error_of(std::string(kMaxStateText + 1, 'x')), "state file: too long");
}

}  // namespace
}  // namespace ntp::clock

#include "clock/state_text.h"

#include <gtest/gtest.h>

#include <cmath>

#include "clock/dice_test.h"

namespace ntp::clock {
namespace {

SavedState sample() {
  return {.time = RealTime(std::chrono::nanoseconds(1'790'000'000'123'456'789)),
          .frequency = SavedFrequency{-1.234e-5, 2e-9, 1e-19},
          .tai_offset_s = 37,
          .sources = {{IpAddress::v4(192, 0, 2, 1), 0.0012, 0.021},
                      {*parse_ip("2001:db8::1"), 3e-6, 0.0002}}};
}

SavedState any_state(std::mt19937_64& dice) {
  SavedState s{.time = RealTime(std::chrono::nanoseconds(dice() >> 1))};
  if (dice() % 4) {
    s.frequency = {uniform(dice, -0.1, 0.1), std::exp(uniform(dice, -30, -3)),
                   std::exp(uniform(dice, -60, -3))};
  }
  if (dice() % 4) s.tai_offset_s = static_cast<int>(dice() % 100) - 20;
  for (auto n = dice() % 8; n > 0; --n) {
    IpAddress ip{dice() % 2 ? IpAddress::Family::v4 : IpAddress::Family::v6, {}};
    const std::size_t size = ip.is_v4() ? 4 : 16;
    for (std::size_t i = 0; i < size; ++i) ip.octets[i] = static_cast<std::uint8_t>(dice());
    s.sources.push_back({ip, std::exp(uniform(dice, -20, 2)), std::exp(uniform(dice, -20, 2))});
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
  const std::string body =
      "ntp-server-state 1\ntime 1790000000123456789\nfrequency -1.234e-05\n"
      "frequency_deviation 2e-09\nwander 1e-19\ntai_offset 37\n"
      "source 192.0.2.1 noise 0.0012 delay 0.021\nsource 2001:db8::1 noise 3e-06 delay 0.0002\n";
  EXPECT_EQ(format_state(sample()), sealed(body));
  EXPECT_EQ(format_state({}), sealed("ntp-server-state 1\ntime 0\nfrequency unknown\n"
                                     "tai_offset unknown\n"));
}

TEST(StateText, WhatIsWrittenComesBackToTheLastBit) {
  std::mt19937_64 dice = seeded_dice(77);
  for (int i = 0; i < 20'000; ++i) {
    const SavedState state = any_state(dice);
    const auto back = parse_state(format_state(state));
    ASSERT_TRUE(back.has_value()) << describe(back.error()) << '\n' << format_state(state);
    ASSERT_EQ(*back, state);
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
  const std::string head = "ntp-server-state 1\n";
  const std::string rest = "frequency unknown\ntai_offset unknown\n";
  EXPECT_EQ(error_of(""), "state file, line 1: not a state file");
  EXPECT_EQ(error_of("[server]\n"), "state file, line 1: not a state file");
  EXPECT_EQ(error_of("ntp-server-state 2\n"), "state file, line 1: written by a later version");
  EXPECT_EQ(error_of(head + "time 0\n" + rest), "state file: torn: no checksum");
  EXPECT_EQ(error_of(head + "time 0\n" + rest + "checksum 0123456789abcdef\n"),
            "state file: wrong checksum");
  EXPECT_EQ(error_of(sealed(head + "time 0\nfrequency unknown\ntai_offset unknown")),
            "state file: torn: no checksum")
      << "in the middle of a line";
  EXPECT_EQ(error_of(sealed(head + "time x\n" + rest)),
            "state file, line 2: not as it was written");
  EXPECT_EQ(error_of(sealed(head + "time -1\n" + rest)),
            "state file, line 2: a number that cannot be true");
  for (const char* bad : {"nan", "inf", "0.2", "-0.2"}) {
    EXPECT_EQ(error_of(sealed(head + "time 0\nfrequency " + bad +
                              "\nfrequency_deviation 0\nwander 0\ntai_offset unknown\n")),
              "state file, line 3: a number that cannot be true")
        << bad;
  }
  EXPECT_EQ(error_of(sealed(head + "time 0\n" + rest + "source ::1 noise 1 delay 2 x\n")),
            "state file, line 5: not as it was written");
  EXPECT_EQ(error_of(std::string(kMaxStateText + 1, 'x')), "state file: too long");
}

TEST(StateText, TheNumberOfSourcesIsBounded) {
  SavedState state = sample();
  state.sources.assign(kMaxSavedSources + 50, state.sources[0]);
  const auto back = parse_state(format_state(state));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->sources.size(), kMaxSavedSources);
}

}  // namespace
}  // namespace ntp::clock

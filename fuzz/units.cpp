// The written forms of values, both ways, and the guess at what a mistyped word was to be.
#include "config/units.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "check.h"
#include "config/suggest.h"

// Durations reach up to the last whole second of 292 years.
constexpr std::int64_t kMost = INT64_MAX - 2'000'000'000;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  const auto text = fuzz::text_of(data, size);
  if (const auto duration = config::parse_duration(text)) {
    NTP_CHECK(duration->count() >= 0);
    NTP_CHECK(config::parse_duration(config::show_duration(*duration)) == duration);
  }
  if (const auto user = config::parse_user(text)) {
    const auto again =
        config::parse_user(std::to_string(user->uid) + ':' + std::to_string(user->gid));
    NTP_CHECK(again && again->uid == user->uid && again->gid == user->gid);
  }
  if (const auto number = config::parse_integer(text)) {
    NTP_CHECK(config::parse_integer(std::to_string(*number)) == number);
    if (*number >= 0 && *number < kMost) {
      const std::chrono::nanoseconds duration(*number);
      NTP_CHECK(config::parse_duration(config::show_duration(duration)) == duration);
    }
  }
  NTP_CHECK(config::parse_boolean(config::upper_case(text)) == config::parse_boolean(text));

  const std::string quoted = config::quote(text);
  NTP_CHECK(std::ranges::all_of(quoted, [](char c) { return c >= 0x20 && c < 0x7f; }));
  if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
    // TOML's escapes are JSON's.
    NTP_CHECK(nlohmann::json::parse(quoted, nullptr, false) == nlohmann::json(text));
  }

  constexpr std::array<std::string_view, 5> kKnown{"listen", "threads", "stratum", "local_stratum",
                                                   "unsynchronised"};
  const auto meant = config::nearest(text, kKnown);
  NTP_CHECK(meant.empty() || std::ranges::find(kKnown, meant) != kKnown.end());
  if (std::ranges::find(kKnown, text) != kKnown.end()) NTP_CHECK(meant == text);
  const auto half = text.substr(0, std::min<std::size_t>(size / 2, 64));
  const auto rest = text.substr(size / 2, 64);
  const int distance = config::edit_distance(half, rest);
  NTP_CHECK(distance == config::edit_distance(rest, half));
  NTP_CHECK((distance == 0) == (half == rest));
  NTP_CHECK(distance <= static_cast<int>(std::max(half.size(), rest.size())));
  return 0;
}

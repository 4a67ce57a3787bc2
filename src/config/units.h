// The written forms of the settings' values, both ways. Pure text, no position: who asks knows
// where the text came from.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace ntp::config {

enum class DurationError : std::uint8_t {
  not_a_duration,
  no_unit,   // a bare number: nobody may have to guess what it counts
  too_fine,  // below a nanosecond
  too_long,  // over 292 years
};

// "100ms", "1.5s", "2us", "3ns", "0s"; no sign, no exponent, no blank.
std::expected<std::chrono::nanoseconds, DurationError> parse_duration(std::string_view text);
// In the largest unit that leaves a whole part: "1.5s", "100ms". Exact, so parsing gives it back.
std::string show_duration(std::chrono::nanoseconds duration);

// The words of the common images: Y/yes/true/1/on and N/no/false/0/off, in any case.
std::optional<bool> parse_boolean(std::string_view text);

struct UserId {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};
// "65532" (both) or "65532:65532". Numbers only; 2^32-1 is the kernel's "no change" and refused.
std::optional<UserId> parse_user(std::string_view text);

std::optional<std::int64_t> parse_integer(std::string_view text);

// A TOML basic string. Octets that TOML cannot carry become \xNN, for messages only.
std::string quote(std::string_view text);

std::string lower_case(std::string_view text);
std::string upper_case(std::string_view text);

}  // namespace ntp::config

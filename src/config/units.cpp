#include "config/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace ntp::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t ns;
  int digits;  // decimals that the unit has before they are finer than a nanosecond
};
constexpr std::array<Unit, 4> kUnits{
    {{"s", 1'000'000'000, 9}, {"ms", 1'000'000, 6}, {"us", 1'000, 3}, {"ns", 1, 0}}};
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

std::string_view take_digits(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, is_digit);
  const auto digits = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(digits.size());
  return digits;
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string in_case(std::string_view text, char first, char last, int step) {
  std::string out(text);
  for (char& c : out) {
    if (c >= first && c <= last) c = static_cast<char>(c + step);
  }
  return out;
}

}  // namespace

std::expected<std::chrono::nanoseconds, DurationError> parse_duration(std::string_view text) {
  const auto whole = take_digits(text);
  std::string_view fraction;
  if (whole.empty()) return std::unexpected(DurationError::not_a_duration);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(text);
    if (fraction.empty()) return std::unexpected(DurationError::not_a_duration);
  }
  if (text.empty()) return std::unexpected(DurationError::no_unit);
  const auto unit = std::ranges::find(kUnits, text, &Unit::name);
  if (unit == kUnits.end()) return std::unexpected(DurationError::not_a_duration);

  while (fraction.ends_with('0')) fraction.remove_suffix(1);
  if (static_cast<int>(fraction.size()) > unit->digits) {
    return std::unexpected(DurationError::too_fine);
  }
  const auto units = parse_number<std::int64_t>(whole);
  if (!units || *units > kMost / unit->ns - 1) return std::unexpected(DurationError::too_long);
  std::int64_t ns = *units * unit->ns;
  std::int64_t place = unit->ns;
  for (const char digit : fraction) {
    place /= 10;
    ns += (digit - '0') * place;
  }
  return std::chrono::nanoseconds(ns);
}

std::string show_duration(std::chrono::nanoseconds duration) {
  const std::int64_t ns = duration.count();
  if (ns <= 0) return "0s";
  const auto unit = std::ranges::find_if(kUnits, [ns](const Unit& u) { return ns >= u.ns; });
  std::string text = std::to_string(ns / unit->ns);
  if (const std::int64_t rest = ns % unit->ns; rest != 0) {
    std::string decimals = fmt::format("{:0{}}", rest, unit->digits);
    decimals.erase(decimals.find_last_not_of('0') + 1);
    text += '.' + decimals;
  }
  return text.append(unit->name);
}

std::optional<bool> parse_boolean(std::string_view text) {
  static constexpr std::array<std::string_view, 5> kYes{"y", "yes", "true", "1", "on"};
  static constexpr std::array<std::string_view, 5> kNo{"n", "no", "false", "0", "off"};
  const std::string word = lower_case(text);
  if (std::ranges::find(kYes, word) != kYes.end()) return true;
  if (std::ranges::find(kNo, word) != kNo.end()) return false;
  return std::nullopt;
}

std::optional<UserId> parse_user(std::string_view text) {
  constexpr std::uint32_t kNoChange = std::numeric_limits<std::uint32_t>::max();
  const auto colon = text.find(':');
  const auto uid = parse_number<std::uint32_t>(text.substr(0, colon));
  const auto gid =
      colon == std::string_view::npos ? uid : parse_number<std::uint32_t>(text.substr(colon + 1));
  if (!uid || !gid || *uid == kNoChange || *gid == kNoChange) return std::nullopt;
  return UserId{*uid, *gid};
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  return parse_number<std::int64_t>(text);
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (octet < 0x20 || octet == 0x7f) {
      out += fmt::format("\\u{:04X}", octet);
    } else if (octet > 0x7f) {
      out += fmt::format("\\x{:02X}", octet);
    } else {
      out += c;
    }
  }
  return out += '"';
}

std::string lower_case(std::string_view text) { return in_case(text, 'A', 'Z', 'a' - 'A'); }
std::string upper_case(std::string_view text) { return in_case(text, 'a', 'z', 'A' - 'a'); }

}  // namespace ntp::config

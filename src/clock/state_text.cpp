#include "clock/state_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace ntp::clock {
namespace {

constexpr std::string_view kMagic = "ntp-server-state ";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kChecksum = "checksum ";
constexpr std::size_t kChecksumLine = kChecksum.size() + 16 + 1;

constexpr double kMaxRate = 0.1;  // 10 %: no oscillator that still counts is worse

std::uint64_t fnv1a(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  return hash;
}

struct Lines {
  std::string_view rest;
  int number = 0;

  // The next line without its end; empty when there is none.
  std::string_view next() noexcept {
    const auto end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    return line;
  }
};

bool take(std::string_view& line, std::string_view word) noexcept {
  if (!line.starts_with(word)) return false;
  line.remove_prefix(word.size());
  return true;
}

// A number that ends with the line or at a blank, which stays.
template <typename Number>
std::optional<Number> take_number(std::string_view& line) noexcept {
  Number value{};
  const char* end = line.end();
  const auto [stop, error] = std::from_chars(line.begin(), end, value);
  if (error != std::errc{} || (stop != end && *stop != ' ')) return std::nullopt;
  line.remove_prefix(static_cast<std::size_t>(stop - line.begin()));
  return value;
}

template <typename Number>
std::optional<Number> only_number(std::string_view line, std::string_view key) noexcept {
  if (!take(line, key)) return std::nullopt;
  const auto value = take_number<Number>(line);
  return line.empty() ? value : std::nullopt;
}

bool is_within(double value, double least, double most) noexcept {
  return std::isfinite(value) && value >= least && value <= most;
}

using Failure = std::optional<StateError>;

Failure read_body(Lines& lines, SavedState& state) {
  std::string_view boot = lines.next();
  if (!take(boot, "boot ")) return StateError::syntax;
  state.boot = boot;
  const auto time = only_number<std::int64_t>(lines.next(), "time ");
  if (!time) return StateError::syntax;
  if (*time < 0) return StateError::range;
  state.time = RealTime(std::chrono::nanoseconds(*time));
  const auto rate = only_number<double>(lines.next(), "frequency ");
  if (!rate) return StateError::syntax;
  if (!is_within(*rate, -kMaxRate, kMaxRate)) return StateError::range;
  const auto deviation = only_number<double>(lines.next(), "frequency_deviation ");
  if (!deviation) return StateError::syntax;
  if (!is_within(*deviation, 0, kMaxRate)) return StateError::range;
  const auto wander = only_number<double>(lines.next(), "wander ");
  if (!wander) return StateError::syntax;
  if (!is_within(*wander, 0, kMaxRate)) return StateError::range;
  state.memory = {*rate, *deviation, *wander};
  if (!lines.rest.empty()) {
    lines.next();
    return StateError::syntax;
  }
  return std::nullopt;
}

std::string checksum_line(std::string_view body) {
  return fmt::format("{}{:016x}\n", kChecksum, fnv1a(body));
}

}  // namespace

ClockFilter::Memory recall(const SavedState& state, std::string_view boot, RealTime now) noexcept {
  ClockFilter::Memory memory = state.memory.after(seconds(now - state.time));
  const bool same = !boot.empty() && boot == state.boot && now >= state.time;
  if (memory.rate_sd > 0 && !same) memory.rate_sd = std::hypot(memory.rate_sd, kOtherBootRate);
  return memory;
}

std::string format_state(const SavedState& state) {
  const std::string text =
      fmt::format("{}{}\nboot {}\ntime {}\nfrequency {}\nfrequency_deviation {}\nwander {}\n",
                  kMagic, kVersion, state.boot, state.time.time_since_epoch().count(),
                  state.memory.rate, state.memory.rate_sd, state.memory.wander);
  return text + checksum_line(text);
}

std::expected<SavedState, StateProblem> parse_state(std::string_view text) {
  const auto fail = [](StateError error, int line = 0) {
    return std::unexpected(StateProblem{error, line});
  };
  if (text.size() > kMaxStateText) return fail(StateError::too_long);
  Lines lines{text};
  std::string_view first = lines.next();
  if (!take(first, kMagic)) return fail(StateError::not_a_state_file, 1);
  if (first != kVersion) return fail(StateError::version, 1);
  if (text.size() < kChecksumLine || text.back() != '\n') return fail(StateError::torn);
  const std::string_view body = text.substr(0, text.size() - kChecksumLine);
  const std::string_view last = text.substr(body.size());
  if (!last.starts_with(kChecksum) || !body.ends_with('\n')) return fail(StateError::torn);
  if (last != checksum_line(body)) return fail(StateError::checksum);

  SavedState state;
  lines = {body};
  lines.next();
  if (const Failure failure = read_body(lines, state)) return fail(*failure, lines.number);
  return state;
}

std::string describe(const StateProblem& problem) {
  constexpr std::array<std::string_view, 7> kWords = {
      "too long",       "not a state file",      "written by a later version",  "torn: no checksum",
      "wrong checksum", "not as it was written", "a number that cannot be true"};
  const std::string_view words = kWords[static_cast<std::size_t>(problem.error)];
  if (problem.line > 0) return fmt::format("state file, line {}: {}", problem.line, words);
  return fmt::format("state file: {}", words);
}

}  // namespace ntp::clock

#include "clock/state_text.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace ntp::clock {
namespace {

constexpr std::string_view kMagic = "ntp-server-state ";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kChecksum = "checksum ";
constexpr std::size_t kChecksumLine = kChecksum.size() + 16 + 1;

constexpr double kMaxRate = 0.1;  // 10 %: no oscillator that still counts is worse
constexpr double kMaxSeconds = 1000;
constexpr int kMaxTaiOffset = 1000;

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

Failure read_frequency(Lines& lines, SavedState& state) {
  const std::string_view first = lines.next();
  if (first == "frequency unknown") return std::nullopt;
  const auto rate = only_number<double>(first, "frequency ");
  if (!rate) return StateError::syntax;
  if (!is_within(*rate, -kMaxRate, kMaxRate)) return StateError::range;
  const auto deviation = only_number<double>(lines.next(), "frequency_deviation ");
  if (!deviation) return StateError::syntax;
  if (!is_within(*deviation, 0, kMaxRate)) return StateError::range;
  const auto wander = only_number<double>(lines.next(), "wander ");
  if (!wander) return StateError::syntax;
  if (!is_within(*wander, 0, kMaxRate)) return StateError::range;
  state.frequency = SavedFrequency{*rate, *deviation, *wander};
  return std::nullopt;
}

Failure read_source(std::string_view line, SavedState& state) {
  if (!take(line, "source ")) return StateError::syntax;
  const auto blank = std::min(line.find(' '), line.size());
  const auto address = parse_ip(line.substr(0, blank));
  if (!address) return StateError::syntax;
  line.remove_prefix(blank);
  if (!take(line, " noise ")) return StateError::syntax;
  const auto noise = take_number<double>(line);
  if (!noise || !take(line, " delay ")) return StateError::syntax;
  const auto delay = take_number<double>(line);
  if (!delay || !line.empty()) return StateError::syntax;
  if (!is_within(*noise, 0, kMaxSeconds) || !is_within(*delay, 0, kMaxSeconds)) {
    return StateError::range;
  }
  if (state.sources.size() >= kMaxSavedSources) return StateError::too_long;
  state.sources.push_back({*address, *noise, *delay});
  return std::nullopt;
}

Failure read_body(Lines& lines, SavedState& state) {
  const auto time = only_number<std::int64_t>(lines.next(), "time ");
  if (!time) return StateError::syntax;
  if (*time < 0) return StateError::range;
  state.time = RealTime(std::chrono::nanoseconds(*time));
  if (const Failure failure = read_frequency(lines, state)) return failure;
  const std::string_view tai = lines.next();
  if (tai != "tai_offset unknown") {
    state.tai_offset_s = only_number<int>(tai, "tai_offset ");
    if (!state.tai_offset_s) return StateError::syntax;
    if (std::abs(*state.tai_offset_s) > kMaxTaiOffset) return StateError::range;
  }
  while (!lines.rest.empty()) {
    if (const Failure failure = read_source(lines.next(), state)) return failure;
  }
  return std::nullopt;
}

std::string checksum_line(std::string_view body) {
  return fmt::format("{}{:016x}\n", kChecksum, fnv1a(body));
}

}  // namespace

std::string format_state(const SavedState& state) {
  std::string text =
      fmt::format("{}{}\ntime {}\n", kMagic, kVersion, state.time.time_since_epoch().count());
  if (state.frequency) {
    text += fmt::format("frequency {}\nfrequency_deviation {}\nwander {}\n", state.frequency->rate,
                        state.frequency->deviation, state.frequency->wander);
  } else {
    text += "frequency unknown\n";
  }
  text += state.tai_offset_s ? fmt::format("tai_offset {}\n", *state.tai_offset_s)
                             : "tai_offset unknown\n";
  std::size_t written = 0;
  for (const SavedSource& source : state.sources) {
    if (written++ == kMaxSavedSources) break;
    text += fmt::format("source {} noise {} delay {}\n", to_string(source.address), source.noise_s,
                        source.delay_s);
  }
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

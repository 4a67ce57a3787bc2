#include "clock/leap.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "clock/sha1.h"

namespace ntp::clock {
namespace {

using std::chrono::days;
using std::chrono::nanoseconds;
using std::chrono::sys_days;
using std::chrono::year_month_day;

// Seconds since 1900 that still fit into nanoseconds since 1970 (the year 2262).
constexpr std::int64_t kLatest = kUnixEpochInNtpSeconds + 9'200'000'000;

std::string_view next_word(std::string_view& line) noexcept {
  const auto first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) {
    line = {};
    return {};
  }
  const auto last = std::min(line.find_first_of(" \t\r", first), line.size());
  const std::string_view word = line.substr(first, last - first);
  line.remove_prefix(last);
  return word;
}

template <typename Number>
std::optional<Number> number_of(std::string_view word, int base = 10) noexcept {
  Number value{};
  const char* end = word.end();
  const auto [stop, error] = std::from_chars(word.begin(), end, value, base);
  if (word.empty() || error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// The file counts from 1900 in plain decimals, past 2^32 after 2036.
std::optional<RealTime> time_of(std::string_view word) noexcept {
  const auto ntp_s = number_of<std::int64_t>(word);
  if (!ntp_s || *ntp_s < 0 || *ntp_s > kLatest) return std::nullopt;
  return RealTime(std::chrono::seconds(*ntp_s - kUnixEpochInNtpSeconds));
}

struct Reader {
  LeapTable table{};
  std::string hashed{};  // the digits of "#$", "#@" and of all entries, in the file's order
  std::optional<std::array<std::uint32_t, 5>> hash{};
  bool has_expiry = false;

  bool read_special(std::string_view line);
  bool read_hash(std::string_view words);
  std::optional<LeapListError> read_entry(std::string_view line);
};

bool Reader::read_hash(std::string_view words) {
  hash.emplace();
  for (std::uint32_t& part : *hash) {
    const auto value = number_of<std::uint32_t>(next_word(words), 16);
    if (!value) return false;
    part = *value;
  }
  return next_word(words).empty();
}

// Lines that start with "#" and a sign that means something.
bool Reader::read_special(std::string_view line) {
  const char sign = line.size() > 1 ? line[1] : ' ';
  if (sign == 'h' && line.size() > 2 && (line[2] == ' ' || line[2] == '\t')) {
    return read_hash(line.substr(2));
  }
  if (sign != '$' && sign != '@') return true;  // a comment
  line.remove_prefix(2);
  const std::string_view word = next_word(line);
  const auto time = time_of(word);
  if (!time) return false;
  hashed += word;
  if (sign == '$') {
    table.updated = *time;
  } else {
    table.expires = *time;
    has_expiry = true;
  }
  return true;
}

std::optional<LeapListError> Reader::read_entry(std::string_view line) {
  const std::string_view when = next_word(line);
  const std::string_view offset = next_word(line);
  const std::string_view rest = next_word(line);
  const auto at = time_of(when);
  const auto tai = number_of<int>(offset);
  if (!at || !tai || (!rest.empty() && rest[0] != '#')) return LeapListError::malformed_line;
  if (at->time_since_epoch() % days(1) != nanoseconds{0} || std::abs(*tai) > 1000) {
    return LeapListError::malformed_line;
  }
  if (!table.entries.empty()) {
    const LeapTable::Entry& before = table.entries.back();
    if (*at <= before.at || std::abs(*tai - before.tai_offset_s) != 1) {
      return LeapListError::out_of_order;
    }
  }
  table.entries.push_back({*at, *tai});
  hashed += when;
  hashed += offset;
  return std::nullopt;
}

year_month_day day_of(RealTime now) noexcept {
  const std::chrono::time_point<std::chrono::system_clock, nanoseconds> sys(now.time_since_epoch());
  return year_month_day(std::chrono::floor<days>(sys));
}

}  // namespace

std::expected<LeapTable, LeapListProblem> parse_leap_list(std::string_view text) {
  const auto fail = [](LeapListError error, int line) {
    return std::unexpected(LeapListProblem{error, line});
  };
  if (text.size() > kMaxLeapList) return fail(LeapListError::too_long, 0);
  Reader reader;
  for (int number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string_view peek = line;
    if (next_word(peek).empty()) continue;
    if (line[0] == '#') {
      if (!reader.read_special(line)) return fail(LeapListError::malformed_line, number);
    } else if (const auto error = reader.read_entry(line)) {
      return fail(*error, number);
    }
  }
  if (reader.table.entries.empty()) return fail(LeapListError::empty, 0);
  if (!reader.has_expiry) return fail(LeapListError::missing_expiry, 0);
  if (reader.hash) {
    if (sha1(reader.hashed) != *reader.hash) return fail(LeapListError::wrong_hash, 0);
    reader.table.hash_verified = true;
  }
  return std::move(reader.table);
}

std::string describe(const LeapListProblem& problem) {
  constexpr std::array<std::string_view, 6> kWords = {"is too long",
                                                      "is neither a comment nor an entry",
                                                      "does not follow from the entry before",
                                                      "has no expiry date (#@)",
                                                      "has no entry",
                                                      "does not match its own hash (#h)"};
  const std::string_view words = kWords[static_cast<std::size_t>(problem.error)];
  if (problem.line > 0) return fmt::format("leap second list: line {} {}", problem.line, words);
  return fmt::format("leap second list: the file {}", words);
}

std::optional<int> tai_offset_s(const LeapTable& table, RealTime now) noexcept {
  std::optional<int> offset;
  for (const LeapTable::Entry& entry : table.entries) {
    if (entry.at <= now) offset = entry.tai_offset_s;
  }
  return offset;
}

std::optional<RealTime> possible_leap(RealTime now) noexcept {
  const year_month_day today = day_of(now);
  const year_month_day tomorrow = sys_days(today) + days(1);
  const bool ends_quarter = static_cast<unsigned>(today.month()) % 3 == 0;
  if (!ends_quarter || tomorrow.month() == today.month()) return std::nullopt;
  return RealTime(sys_days(tomorrow).time_since_epoch());
}

std::optional<PlannedLeap> leap_today(RealTime now, const LeapTable* table,
                                      const LeapVotes& votes) noexcept {
  const auto midnight = possible_leap(now);
  if (!midnight) return std::nullopt;
  if (table != nullptr && now < table->expires) {
    const auto before = tai_offset_s(*table, now);
    const auto after = tai_offset_s(*table, *midnight);
    if (!before || !after || *before == *after) return std::nullopt;
    return PlannedLeap{*after > *before ? wire::Leap::insert : wire::Leap::remove, *midnight};
  }
  if (2 * votes.insert > votes.all) return PlannedLeap{wire::Leap::insert, *midnight};
  if (2 * votes.remove > votes.all) return PlannedLeap{wire::Leap::remove, *midnight};
  return std::nullopt;
}

RawTime raw_at(const ClockMap& map, RealTime target) noexcept {
  const double ahead_ns = static_cast<double>((target - map.real).count()) / (1 + map.rate);
  RawTime raw = map.at + nanoseconds(std::llround(ahead_ns));
  raw += target - map(raw);  // what the double could not hold, to the nanosecond
  return raw;
}

LeapingMap leaping(const ClockMap& map, const PlannedLeap& leap) noexcept {
  const std::chrono::seconds step(leap.kind == wire::Leap::insert ? -1 : 1);
  const RealTime when = step.count() < 0 ? leap.midnight : leap.midnight - step;
  return {map, raw_at(map, when), step};
}

}  // namespace ntp::clock

// Leap seconds: when one is due, and a served time that has no 1 s error across it. Pure.
//
// What is served. Timestamps of NTP and of POSIX have no name for 23:59:60. As in the kernel and in
// other servers the count steps back by one second when it would reach midnight: during 23:59:60
// replies run through 23:59:59 a second time. Where a second is left out, the count steps from
// 23:59:59 to midnight. The announcement stands from 00:00:00 of that day until the step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "clock/clock_map.h"
#include "wire/header.h"

namespace ntp::clock {

// A leap-seconds.list as NIST, IETF, IERS and tzdata publish it.
struct LeapTable {
  struct Entry {
    RealTime at{};  // from here on
    int tai_offset_s = 0;
  };
  std::vector<Entry> entries{};  // ascending
  RealTime updated{};            // "#$"; the Unix epoch where the file does not say
  RealTime expires{};            // "#@"
  bool hash_verified = false;    // "#h" was there and is right
};

enum class LeapListError : std::uint8_t {
  too_long,
  malformed_line,
  out_of_order,    // entries do not ascend, or an offset jumps by more than a second
  missing_expiry,  // no "#@" line
  empty,           // no entry
  wrong_hash,
};

struct LeapListProblem {
  LeapListError error = LeapListError::empty;
  int line = 0;  // 0: the file as a whole
};

inline constexpr std::size_t kMaxLeapList = 262'144;

std::expected<LeapTable, LeapListProblem> parse_leap_list(std::string_view text);
std::string describe(const LeapListProblem& problem);

// TAI - UTC at `now`; empty before 1972. Beyond the table's expiry it is the last one known.
std::optional<int> tai_offset_s(const LeapTable& table, RealTime now) noexcept;

// A leap second that ends a day: the midnight is that after it.
struct PlannedLeap {
  wire::Leap kind = wire::Leap::none;  // insert or remove
  RealTime midnight{};

  friend bool operator==(const PlannedLeap&, const PlannedLeap&) = default;
};

// The midnight that ends the day of `now`, when that day is the last of March, June, September or
// December (ITU-R TF.460-6): no other may end in a leap second, whatever sources say.
std::optional<RealTime> possible_leap(RealTime now) noexcept;

// Announcements of the selected sources. A majority is more than half of all of them.
struct LeapVotes {
  int insert = 0;
  int remove = 0;
  int all = 0;
};

// The leap second at the end of the day of `now`, on that day only. A table that is there and has
// not expired decides; without it the majority of the sources does.
std::optional<PlannedLeap> leap_today(RealTime now, const LeapTable* table,
                                      const LeapVotes& votes) noexcept;

// The reading at which the map shows `target`; the map's rate is above -1.
RawTime raw_at(const ClockMap& map, RealTime target) noexcept;

// `map` with the step that `leap` needs.
LeapingMap leaping(const ClockMap& map, const PlannedLeap& leap) noexcept;

}  // namespace ntp::clock

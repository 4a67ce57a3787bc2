// What the clock has learned, for the next start, as a small text with a checksum. Pure: whoever
// owns the state directory reads and writes the file. Nothing in it is needed; a file that is torn
// or garbled is refused as a whole and says where.
//
//   ntp-server-state 1
//   boot 01234567-89ab-cdef-0123-456789abcdef     of the kernel, whose raw clock this is about
//   time 1790000000123456789         served time when it was written, ns since 1970 (UTC)
//   frequency -1.234e-05             of the served clock against the raw one, less 1
//   frequency_deviation 2e-09        one sigma
//   wander 1e-19                     variance of the frequency gained in a second
//   checksum 0123456789abcdef        FNV-1a of 64 bits over all lines before
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/time.h"
#include "clock/clock_filter.h"

namespace ntp::clock {

struct SavedState {
  std::string boot{};
  RealTime time{};
  ClockFilter::Memory memory{};
};

inline constexpr std::size_t kMaxStateText = 4096;

// Another start of the kernel may calibrate its raw clock anew, and the state may have been brought
// from another machine: this is what is left of a frequency then, one sigma.
inline constexpr double kOtherBootRate = 2e-5;

// What a saved state says at `now` to a process of `boot`.
ClockFilter::Memory recall(const SavedState& state, std::string_view boot, RealTime now) noexcept;

enum class StateError : std::uint8_t {
  too_long,
  not_a_state_file,  // does not begin as one
  version,           // of a later program
  torn,              // does not end with a line of checksum
  checksum,
  syntax,  // right checksum, but not what format_state() writes
  range,   // a number that cannot be true
};

struct StateProblem {
  StateError error = StateError::torn;
  int line = 0;  // 0: the file as a whole
};

std::string format_state(const SavedState& state);
std::expected<SavedState, StateProblem> parse_state(std::string_view text);
std::string describe(const StateProblem& problem);

}  // namespace ntp::clock

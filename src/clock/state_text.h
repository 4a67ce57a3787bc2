// What is worth knowing at the next start, as a small text with a checksum. Pure: whoever owns the
// state directory reads and writes the file. Nothing in it is needed; a file that is torn or
// garbled is refused as a whole and says where.
//
//   ntp-server-state 1
//   time 1790000000123456789         served time when it was written, ns since 1970 (UTC)
//   frequency -1.234e-05             of the served clock against the raw one, less 1; or "unknown"
//   frequency_deviation 2e-09
//   wander 1e-19                     variance of the frequency gained in a second
//   tai_offset 37                    or "unknown"
//   source 192.0.2.1 noise 0.0012 delay 0.021     for each source, by address
//   checksum 0123456789abcdef        FNV-1a of 64 bits over all lines before
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/time.h"

namespace ntp::clock {

struct SavedSource {
  IpAddress address{};
  double noise_s = 0;  // learned deviation of one sample
  double delay_s = 0;  // the least round trip seen

  friend bool operator==(const SavedSource&, const SavedSource&) = default;
};

struct SavedFrequency {
  double rate = 0;
  double deviation = 0;
  double wander = 0;

  friend bool operator==(const SavedFrequency&, const SavedFrequency&) = default;
};

struct SavedState {
  RealTime time{};  // it is later than this now: a lower bound for sanity, not a time to serve
  std::optional<SavedFrequency> frequency{};
  std::optional<int> tai_offset_s{};
  std::vector<SavedSource> sources{};

  friend bool operator==(const SavedState&, const SavedState&) = default;
};

inline constexpr std::size_t kMaxSavedSources = 256;
inline constexpr std::size_t kMaxStateText = 65'536;

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

std::string format_state(const SavedState& state);  // sources past kMaxSavedSources are left out
std::expected<SavedState, StateProblem> parse_state(std::string_view text);
std::string describe(const StateProblem& problem);

}  // namespace ntp::clock

// One event of the log as one line, and how many lines may be written. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "config/settings.h"

namespace ntp::control {

struct LogEvent {
  RealTime time{};
  config::LogLevel level = config::LogLevel::info;
  std::string message{};  // our own words; what came from the network belongs into `fields`
  std::vector<std::pair<std::string, std::string>> fields{};  // names are ours
};

// One line, without its end. Whatever the event holds, the line has no control character and is
// valid UTF-8, so that nobody can forge a line or move a terminal's cursor:
//   text     2026-11-23T01:19:25.123+01:00 info  message name=value name="a b"
//   json     {"time":"...","level":"info","message":"message","name":"value"}
//   logfmt   time=... level=info msg=message name=value
// Control characters (also those of Unicode that reorder or break lines) are written as in JSON
// (\n, \u001b), octets that are not UTF-8 as \xff, a backslash as two.
std::string format_line(const LogEvent& event, config::LogFormat format,
                        std::chrono::seconds utc_offset);

std::string_view name(config::LogLevel level) noexcept;

// Ten lines at once, then one each 100 ms; one for each place that may be made to talk.
class LogLimiter {
 public:
  struct Permit {
    bool granted = false;
    std::uint64_t suppressed = 0;  // refused since the last grant; to be told with the line
  };
  // The line that tells of those suppressed is paid for as well.
  Permit ask(RawTime now) noexcept;
  // For whoever falls silent after a flood: granted when there is something untold and a line left.
  Permit settle(RawTime now) noexcept;
  // Lines that were lost before anybody could ask.
  void add_suppressed(std::uint64_t lines) noexcept { suppressed_ += lines; }

 private:
  static constexpr std::chrono::nanoseconds kLine = std::chrono::milliseconds(100);
  static constexpr std::int64_t kBurst = 10;

  RawTime paid_until_{};  // a debt of kBurst lines ahead of now is the most there can be
  bool begun_ = false;
  std::uint64_t suppressed_ = 0;
};

}  // namespace ntp::control

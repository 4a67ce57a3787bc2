#include "control/time_text.h"

#include <fmt/format.h>

#include <cstdlib>

namespace ntp::control {
namespace {

// "2026-11-23T00:19:25."; `nanoseconds` gets what follows the point.
std::string to_the_second(RealTime time, std::int64_t& nanoseconds) {
  const std::chrono::sys_time<std::chrono::nanoseconds> system(time.time_since_epoch());
  const auto second = std::chrono::floor<std::chrono::seconds>(system);
  const auto day = std::chrono::floor<std::chrono::days>(second);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(second - day);
  nanoseconds = (system - second).count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

}  // namespace

std::string rfc3339_local(RealTime time, std::chrono::seconds utc_offset) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(utc_offset);
  std::int64_t nanoseconds = 0;
  const std::string text = to_the_second(time + minutes, nanoseconds);
  const auto distance = std::abs(minutes.count());
  return fmt::format("{}{:03}{}{:02}:{:02}", text, nanoseconds / 1'000'000,
                     minutes.count() < 0 ? '-' : '+', distance / 60, distance % 60);
}

std::string rfc3339_utc(RealTime time) {
  std::int64_t nanoseconds = 0;
  const std::string text = to_the_second(time, nanoseconds);
  return fmt::format("{}{:09}Z", text, nanoseconds);
}

}  // namespace ntp::control

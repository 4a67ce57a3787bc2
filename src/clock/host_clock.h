// Serving a clock that somebody else keeps: turns what the kernel says of itself into an honest
// ServerState. Pure: readings arrive as values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/time.h"
#include "server/state.h"

namespace ntp::clock {

// One look at the kernel's clock (adjtimex(2), read-only) and the clocks beside it.
struct KernelReading {
  bool available = false;      // false: the kernel refused the question
  bool unsynchronised = true;  // STA_UNSYNC or STA_CLOCKERR
  bool insert_leap = false;    // STA_INS, and the second has not been inserted yet
  bool delete_leap = false;    // STA_DEL, likewise
  std::int64_t maxerror_us = 0;
  std::int64_t esterror_us = 0;
  double offset_s = 0;   // phase that the kernel has still to slew
  int tai_offset_s = 0;  // 0: not known to the kernel
  double rate = 0;       // that somebody has set, on top of the kernel's own: ticks and frequency
  RealTime real{};       // read together
  RawTime raw{};
  std::chrono::nanoseconds boot_lead{};  // CLOCK_BOOTTIME - CLOCK_MONOTONIC_RAW
};

enum class Unsynchronised : std::uint8_t {
  local,   // serve the local clock at local_stratum, refid LOCL
  refuse,  // leap 3
  orphan,  // agree with others that have no time either (discipline.h); never a HostPolicy's
};

struct HostPolicy {
  std::uint8_t stratum = 3;
  std::uint8_t local_stratum = 10;
  Unsynchronised unsynchronised = Unsynchronised::local;
  double error_floor_s = 0.001;
  double error_unknown_s = 0.1;
  double max_root_distance_s = 1.5;
};

// Why the host's clock is or is not believed. Order and names are those of HostClock's checks.
enum class HostStanding : std::uint8_t {
  synchronised,
  unreadable,      // adjtimex failed
  unsynchronised,  // the kernel says so itself
  suspended,       // the machine slept and nobody has set the clock's error since
  too_uncertain,   // bound over max_root_distance
};

struct HostView {
  HostStanding standing = HostStanding::unreadable;
  double error_bound_s = 0;              // of the reading, floor included
  bool maxerror_is_meaningless = false;  // a daemon resets it to 0: error_unknown is used
  std::optional<double> stepped_s;       // the clock jumped by this since the reading before
  KernelReading reading{};
};

// Feed it one reading a second.
class HostClock {
 public:
  explicit HostClock(int precision) noexcept : precision_(precision) {}

  server::ServerState update(const KernelReading& reading, const HostPolicy& policy) noexcept;
  const HostView& view() const noexcept { return view_; }

 private:
  void notice_reset(const KernelReading& reading) noexcept;
  void notice_jumps(const KernelReading& reading) noexcept;
  HostStanding judge(const KernelReading& reading, const HostPolicy& policy) const noexcept;

  int precision_;
  bool slept_ = false;
  std::optional<KernelReading> before_;
  HostView view_;
};

}  // namespace ntp::clock

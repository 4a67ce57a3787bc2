// Setting the kernel's clock: needs CAP_SYS_TIME, and is only done where the configuration asks.
#pragma once

#include <expected>

#include "clock/steering.h"
#include "os/error.h"
#include "wire/header.h"

namespace ntp::os {

// What the kernel shall tell other programs of its clock (adjtimex(2), ntp_gettime(3)).
struct KernelStatus {
  bool synchronised = false;  // also lets the kernel set the RTC every eleven minutes
  double maxerror_s = 16;
  double esterror_s = 16;
  wire::Leap leap = wire::Leap::none;  // insert or remove: at the end of this UTC day
  int tai_offset_s = 0;                // 0: leave it
};

// What these members of a timex mean, in seconds per second.
double rate_in_force(long tick_us, long freq) noexcept;

// Steps and sets the frequency as the correction says, then the status. The frequency is relative
// to CLOCK_MONOTONIC_RAW; beyond 500 ppm the length of a tick is changed as well. Returns the rate
// that the kernel then has.
std::expected<double, Error> steer_kernel_clock(const clock::Correction& correction,
                                                const KernelStatus& status);

}  // namespace ntp::os

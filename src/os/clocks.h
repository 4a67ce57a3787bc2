// The clocks of the machine, read. Only CLOCK_REALTIME, MONOTONIC, MONOTONIC_RAW and BOOTTIME.
#pragma once

#include "base/time.h"
#include "clock/host_clock.h"

namespace ntp::os {

RealTime real_now() noexcept;
RawTime raw_now() noexcept;
// Both as of one moment (read_beside_raw.h).
Instant now() noexcept;
// CLOCK_BOOTTIME - CLOCK_MONOTONIC_RAW: jumps by the length of a suspend, during which RAW stands
// still. 0 where the kernel (or a simulator) has no CLOCK_BOOTTIME.
std::chrono::nanoseconds boot_lead() noexcept;

// log2 seconds of the smallest step that two readings of CLOCK_REALTIME in a row show, within
// [-30, -5] (RFC 5905 section 7.3: precision). Takes well under a millisecond.
int measure_precision() noexcept;

// adjtimex(2) with modes 0, which needs no privilege, and the clocks beside it.
clock::KernelReading read_kernel_clock() noexcept;

}  // namespace ntp::os

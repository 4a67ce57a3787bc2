#include "os/clocks.h"

#include <sys/timex.h>
#include <time.h>

#include <algorithm>
#include <cmath>

#include "os/kernel_clock.h"
#include "os/read_beside_raw.h"

namespace ntp::os {
namespace {

std::chrono::nanoseconds read_clock(clockid_t id) noexcept {
  timespec t{};
  ::clock_gettime(id, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

// What adjtime(3) of some daemon has still to slew: the kernel keeps it apart from the offset that
// its own loop works off.
double adjtime_remaining_s() noexcept {
  timex kernel{};
  kernel.modes = ADJ_OFFSET_SS_READ;
  return ::adjtimex(&kernel) >= 0 ? static_cast<double>(kernel.offset) * 1e-6 : 0.0;
}

}  // namespace

RealTime real_now() noexcept { return RealTime(read_clock(CLOCK_REALTIME)); }
RawTime raw_now() noexcept { return RawTime(read_clock(CLOCK_MONOTONIC_RAW)); }

Instant now() noexcept {
  const auto [real, raw] = read_beside_raw(real_now, raw_now);
  return {.real = real, .raw = raw};
}

std::chrono::nanoseconds boot_lead() noexcept {
  timespec boot{};
  if (::clock_gettime(CLOCK_BOOTTIME, &boot) != 0) return {};
  const auto [lead, raw] = read_beside_raw([] { return read_clock(CLOCK_BOOTTIME); }, raw_now);
  return lead - raw.time_since_epoch();
}

int measure_precision() noexcept {
  constexpr int kReadings = 2000;
  std::chrono::nanoseconds smallest = std::chrono::milliseconds(31);
  RealTime before = real_now();
  for (int i = 0; i < kReadings; ++i) {
    const RealTime now = real_now();
    if (now > before) smallest = std::min(smallest, now - before);
    before = now;
  }
  return std::clamp(static_cast<int>(std::ceil(std::log2(seconds(smallest)))), -30, -5);
}

clock::KernelReading read_kernel_clock() noexcept {
  timex kernel{};
  const int time_state = ::adjtimex(&kernel);
  clock::KernelReading reading;
  reading.available = time_state >= 0;
  if (reading.available) {
    const bool leap_pending = time_state != TIME_WAIT;  // TIME_WAIT: it has been inserted already
    reading.unsynchronised = (kernel.status & (STA_UNSYNC | STA_CLOCKERR)) != 0;
    reading.insert_leap = (kernel.status & STA_INS) != 0 && leap_pending;
    reading.delete_leap = (kernel.status & STA_DEL) != 0 && leap_pending;
    reading.maxerror_us = kernel.maxerror;
    reading.esterror_us = kernel.esterror;
    reading.offset_s =
        static_cast<double>(kernel.offset) * ((kernel.status & STA_NANO) != 0 ? 1e-9 : 1e-6);
    reading.tai_offset_s = kernel.tai;
    reading.rate = rate_in_force(kernel.tick, kernel.freq);
    reading.offset_s += adjtime_remaining_s();
  }
  const Instant together = now();
  reading.real = together.real;
  reading.raw = together.raw;
  reading.boot_lead = boot_lead();
  return reading;
}

}  // namespace ntp::os

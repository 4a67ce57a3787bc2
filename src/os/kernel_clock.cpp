#include "os/kernel_clock.h"

#include <sys/timex.h>

#include <algorithm>
#include <cmath>

namespace ntp::os {
namespace {

constexpr long kNominalTick_us = 10'000;  // USER_HZ is 100 on every architecture that we know
constexpr double kTickStep = 1e-4;        // one microsecond more in a tick
constexpr long kMostTicks = 1'000;        // the kernel's limit: ten per cent
constexpr double kMaxKernelRate = 500e-6;
constexpr double kFrequencyUnit = 1e-6 / 65'536;  // timex.freq: ppm with 16 bits of fraction

void put_rate(timex& kernel, double rate) noexcept {
  const long ticks = std::abs(rate) <= kMaxKernelRate
                         ? 0
                         : std::clamp(std::lround(rate / kTickStep), -kMostTicks, kMostTicks);
  const double rest =
      std::clamp(rate - static_cast<double>(ticks) * kTickStep, -kMaxKernelRate, kMaxKernelRate);
  kernel.modes |= ADJ_FREQUENCY | ADJ_TICK;
  kernel.tick = kNominalTick_us + ticks;
  kernel.freq = std::lround(rest / kFrequencyUnit);
}

void put_status(timex& kernel, const KernelStatus& status) noexcept {
  kernel.modes |= ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR;
  kernel.status = status.synchronised ? 0 : STA_UNSYNC;
  if (status.leap == wire::Leap::insert) kernel.status |= STA_INS;
  if (status.leap == wire::Leap::remove) kernel.status |= STA_DEL;
  kernel.maxerror = std::lround(std::clamp(status.maxerror_s, 0.0, 16.0) * 1e6);
  kernel.esterror = std::lround(std::clamp(status.esterror_s, 0.0, 16.0) * 1e6);
}

std::expected<void, Error> ask(timex& kernel, const char* doing) {
  if (::adjtimex(&kernel) < 0) return std::unexpected(Error::last(doing));
  return {};
}

}  // namespace

double rate_in_force(long tick_us, long freq) noexcept {
  if (tick_us == 0) return 0;  // a simulator that does not say
  return static_cast<double>(tick_us - kNominalTick_us) * kTickStep +
         static_cast<double>(freq) * kFrequencyUnit;
}

std::expected<double, Error> steer_kernel_clock(const clock::Correction& correction,
                                                const KernelStatus& status) {
  if (correction.kind == clock::Correction::Kind::step) {
    timex step{};
    step.modes = ADJ_SETOFFSET | ADJ_NANO;
    const double whole_s = std::floor(correction.step_s);
    step.time.tv_sec = static_cast<time_t>(whole_s);
    step.time.tv_usec = std::min(std::lround((correction.step_s - whole_s) * 1e9), 999'999'999L);
    if (const auto done = ask(step, "step the kernel's clock"); !done) {
      return std::unexpected(done.error());
    }
  }
  timex kernel{};
  put_rate(kernel, correction.rate);
  put_status(kernel, status);
  if (const auto done = ask(kernel, "set the kernel's clock"); !done) {
    return std::unexpected(done.error());
  }
  const double rate = rate_in_force(kernel.tick, kernel.freq);
  if (status.tai_offset_s == 0) return rate;
  timex tai{};
  tai.modes = ADJ_TAI;
  tai.constant = status.tai_offset_s;
  if (const auto done = ask(tai, "set the kernel's TAI offset"); !done) {
    return std::unexpected(done.error());
  }
  return rate;
}

}  // namespace ntp::os

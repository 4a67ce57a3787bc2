#include "sim/kernel.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ntp::sim {
namespace {

using std::chrono::nanoseconds;

constexpr double kFrequencyUnit = 1e-6 / 65'536;  // of timex.freq
constexpr double kMostRate = 0.1005;              // ticks and frequency
constexpr double kMaxerrorRate = 500e-6;          // by which the kernel lets it grow

nanoseconds to_ns(double value_s) noexcept { return nanoseconds(std::llround(value_s * 1e9)); }

}  // namespace

nanoseconds Kernel::led(RawTime now) const noexcept {
  return led_ + to_ns(rate_ * seconds(now - set_at_));
}

double Kernel::maxerror_s(RawTime now) const noexcept {
  return maxerror_s_ + kMaxerrorRate * seconds(now - set_at_);
}

void Kernel::lead(const clock::Moment& now, const clock::Decision& decision,
                  const clock::SteeringPolicy& policy) noexcept {
  const bool was_resting = std::exchange(resting_, decision.hold_samples);
  if (resting_) {
    if (in_hand_ && !was_resting) apply({.rate = served_rate_}, now.raw);
    return;
  }
  if (!decision.synchronised) {
    if (!std::exchange(in_hand_, false)) return;
    maxerror_s_ = maxerror_s(now.raw);
    synchronised_ = false;
    return apply({.rate = served_rate_}, now.raw);
  }
  const double error_s = seconds(now.host - decision.served(now.raw));
  served_rate_ = decision.served.map.rate;
  const clock::Correction correction =
      steering_.correct(error_s, std::sqrt(decision.clock.offset_var), served_rate_, policy);
  const bool steps = correction.kind == clock::Correction::Kind::step;
  maxerror_s_ = decision.bound_s + (steps ? 0 : std::abs(error_s));
  synchronised_ = correction.kind != clock::Correction::Kind::refuse;
  in_hand_ = true;
  apply(correction, now.raw);
}

void Kernel::apply(const clock::Correction& correction, RawTime now) noexcept {
  led_ = led(now);
  if (correction.kind == clock::Correction::Kind::step) led_ += to_ns(correction.step_s);
  set_at_ = now;
  const double rate = std::clamp(correction.rate, -kMostRate, kMostRate);
  rate_ = std::round(rate / kFrequencyUnit) * kFrequencyUnit;
  steering_.left_at(rate_);
}

}  // namespace ntp::sim

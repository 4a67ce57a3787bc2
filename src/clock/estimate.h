// Offset and frequency against a source, with what is known of their errors.
#pragma once

#include "base/time.h"

namespace ntp::clock {

// source - base at `at`, its change per raw second, and their covariance. The model is a frequency
// that walks at random: variance of the frequency grows by `wander` per second.
struct Estimate {
  RawTime at{};
  double offset_s = 0;
  double rate = 0;
  double offset_var = 0;  // s^2, without whatever the path hides (asymmetry: at most delay / 2)
  double covariance = 0;  // s
  double rate_var = 0;
  double wander = 0;  // 1/s: the largest that the samples still allow, for bounds (not the mean)

  // The same knowledge at another time; the errors only grow.
  Estimate at_time(RawTime when) const noexcept {
    const double dt = seconds(when - at);
    const double age = dt < 0 ? -dt : dt;
    Estimate later = *this;
    later.at = when;
    later.offset_s += rate * dt;
    later.offset_var += 2 * dt * covariance + dt * dt * rate_var + wander * age * age * age / 3;
    later.covariance += dt * rate_var + wander * dt * age / 2;
    later.rate_var += wander * age;
    return later;
  }
};

}  // namespace ntp::clock

#include "clock/steering.h"

#include <algorithm>
#include <cmath>

namespace ntp::clock {
namespace {

// Time constant of the slew. Short against any poll, so the kernel's clock is hardly worse than the
// served one; long against the second between corrections, so the loop cannot ring.
constexpr double kTimeConstant_s = 4;

}  // namespace

Correction Steering::correct(double error_s, double rate, const SteeringPolicy& policy) noexcept {
  const bool first = updates_ < policy.step_updates || policy.step_updates < 0;
  const double size_s = std::abs(error_s);
  if (!first && policy.max_change_s > 0 && size_s > policy.max_change_s) {
    return {.kind = Correction::Kind::refuse};
  }
  if (updates_ < policy.step_updates) ++updates_;
  if (first && size_s > policy.step_threshold_s) {
    return {.kind = Correction::Kind::step, .step_s = -error_s, .rate = rate};
  }
  const double slew = std::clamp(-error_s / kTimeConstant_s, -policy.max_slew, policy.max_slew);
  return {.kind = Correction::Kind::slew, .rate = rate + slew};
}

}  // namespace ntp::clock

#include "clock/steering.h"

#include <algorithm>
#include <cmath>

namespace ntp::clock {
namespace {

// Time constant of the slew. Short against any poll, so the kernel's clock is hardly worse than the
// served one; long against the second between corrections, so the loop cannot ring.
constexpr double kTimeConstant_s = 4;
// The kernel rounds what it is told; another program changes more than this (1e-4 ppm).
constexpr double kSameRate = 1e-10;

}  // namespace

Correction Steering::correct(double error_s, double rate, const SteeringPolicy& policy) noexcept {
  const bool first = updates_ < policy.step_updates || policy.step_updates < 0;
  const bool is_limited = updates_ >= (policy.step_updates < 0 ? 1 : policy.step_updates);
  const double size_s = std::abs(error_s);
  if (is_limited && policy.max_change_s > 0 && size_s > policy.max_change_s) {
    return {.kind = Correction::Kind::refuse, .rate = rate};
  }
  if (!is_limited) ++updates_;
  if (first && size_s > policy.step_threshold_s) {
    return {.kind = Correction::Kind::step, .step_s = -error_s, .rate = rate};
  }
  const double slew = std::clamp(-error_s / kTimeConstant_s, -policy.max_slew, policy.max_slew);
  return {.kind = Correction::Kind::slew, .rate = rate + slew};
}

bool Steering::is_disturbed(double found_rate) const noexcept {
  return left_at_ && std::abs(found_rate - *left_at_) > kSameRate;
}

}  // namespace ntp::clock

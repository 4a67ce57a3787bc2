#include "clock/steering.h"

#include <algorithm>
#include <cmath>

namespace ntp::clock {
namespace {

// Time constants of the slew. Of an error that is none of the served clock's own noise: long
// against the second between corrections, so that the loop cannot ring.
constexpr double kTimeConstant_s = 4;
constexpr double kPatience_s = 32;  // of one that may be
// The kernel rounds what it is told; another program changes more than this (1e-4 ppm).
constexpr double kSameRate = 1e-10;

}  // namespace

Correction Steering::correct(double error_s, double served_sd_s, double rate,
                             const SteeringPolicy& policy) noexcept {
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
  const double patience_s = size_s > 0 ? kPatience_s * served_sd_s / size_s : kPatience_s;
  const double constant_s = std::clamp(patience_s, kTimeConstant_s, kPatience_s);
  const double slew = std::clamp(-error_s / constant_s, -policy.max_slew, policy.max_slew);
  return {.kind = Correction::Kind::slew, .rate = rate + slew};
}

bool Steering::is_disturbed(double found_rate) const noexcept {
  return left_at_ && std::abs(found_rate - *left_at_) > kSameRate;
}

}  // namespace ntp::clock

#include "clock/rate_history.h"

#include <algorithm>

namespace ntp::clock {

void RateHistory::add(double at_s, double rate, double rate_var) noexcept {
  const Point& last = points_[(count_ + kKept - 1) % kKept];
  if (count_ > 0 && at_s - last.at_s < kSpacing_s) return;
  points_[count_ % kKept] = {at_s, rate, rate_var};
  ++count_;
  wander_ = 0;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(count_, kKept));
  for (std::size_t lag = 1; lag < size; lag *= 2) wander_ = std::max(wander_, wander_over(lag));
}

// Noise counts as what the estimates say of it; it must not pass for wander, so it is taken away.
double RateHistory::wander_over(std::size_t lag) const noexcept {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(count_, kKept));
  double squares = 0;
  double elapsed_s = 0;
  for (std::size_t age = lag; age < size; ++age) {
    const Point& from = points_[(count_ - 1 - age) % kKept];
    const Point& to = points_[(count_ - 1 - age + lag) % kKept];
    const double moved = to.rate - from.rate;
    squares += moved * moved - from.variance - to.variance;
    elapsed_s += to.at_s - from.at_s;
  }
  return elapsed_s > 0 ? std::max(0.0, squares / elapsed_s) : 0;
}

}  // namespace ntp::clock

#include "clock/path_statistics.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ntp::clock {
namespace {

constexpr std::size_t kRecent = 8;
constexpr double kLearnedSamples = 200;  // memory of the mean queueing
// Ratios of the two directions' queueing (as logarithms) below the first are noise; from twice that
// on they are taken as they are.
constexpr double kEqualRatio = 0.5;

double without_noise(double log_ratio) noexcept {
  const double size = std::abs(log_ratio);
  if (size < kEqualRatio) return 0;
  if (size < 2 * kEqualRatio) return std::copysign(2 * (size - kEqualRatio), log_ratio);
  return log_ratio;
}

}  // namespace

Moments truncated_exponential(double range, double lambda) noexcept {
  const double y = lambda * range;
  if (std::abs(y) < 1e-3) {
    return {range / 2 - lambda * range * range / 12, range * range / 12};
  }
  if (y < 0) {
    const Moments mirrored = truncated_exponential(range, -lambda);
    return {range - mirrored.mean, mirrored.variance};
  }
  const double tail = std::exp(-y);
  const double inside = -std::expm1(-y);
  return {1 / lambda - range * tail / inside,
          1 / (lambda * lambda) - range * range * tail / (inside * inside)};
}

PathStatistics::View PathStatistics::add(double delay_s) noexcept {
  delays_[next_] = delay_s;
  next_ = (next_ + 1) % kWindow;
  count_ = std::min(count_ + 1, kWindow);

  std::array<double, kWindow> sorted{};
  const auto end = std::copy_n(delays_.begin(), count_, sorted.begin());
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(count_ / 2);
  std::nth_element(sorted.begin(), middle, end);
  min_s_ = *std::min_element(sorted.begin(), middle + 1);
  const double median_s = *middle - min_s_;

  const auto n = static_cast<double>(count_);
  View view{.count = count_};
  // The sum of two equal exponentials has its median at 1.68 times their mean.
  view.queueing_s = count_ < 4 ? std::max(median_s, delay_s / 4) : median_s / 1.68;
  // The shortest of n such sums lies that much above nothing, on average.
  const double too_long_s = view.queueing_s * std::sqrt(std::numbers::pi / 2 / n);
  view.excess_s = delay_s - min_s_ + too_long_s;
  view.median_s = median_s + too_long_s;
  double mean = 0;
  for (auto d = sorted.begin(); d != end; ++d) mean += *d / n;
  for (auto d = sorted.begin(); d != end; ++d) view.variance += (*d - mean) * (*d - mean) / n;
  if (count_ < 4) view.variance = 2 * view.queueing_s * view.queueing_s;
  if (learned_ == 0) there_s_ = back_s_ = view.queueing_s;
  return view;
}

void PathStatistics::learn(double there_s, double back_s) noexcept {
  ++learned_;
  const double share = 1 / std::min(kLearnedSamples, static_cast<double>(count_));
  there_s_ += share * (there_s - there_s_);
  back_s_ += share * (back_s - back_s_);
}

Moments PathStatistics::asymmetry(double excess_s) const noexcept {
  if (!(there_s_ > 0 && back_s_ > 0)) return {0, excess_s * excess_s / 12};
  const double log_ratio = without_noise(std::log(there_s_ / back_s_));
  const double both = std::sqrt(there_s_ * back_s_);
  const double lambda =
      (std::exp(-log_ratio / 2) - std::exp(log_ratio / 2)) / both;  // 1/there - 1/back
  const Moments there = truncated_exponential(excess_s, lambda);
  return {there.mean - excess_s / 2, there.variance};
}

double PathStatistics::recent_delay_s() const noexcept {
  double best = min_s_;
  for (std::size_t i = 1; i <= std::min(kRecent, count_); ++i) {
    const double delay_s = delays_[(next_ + kWindow - i) % kWindow];
    best = i == 1 ? delay_s : std::min(best, delay_s);
  }
  return best;
}

}  // namespace ntp::clock

#include "clock/path_statistics.h"

#include <algorithm>
#include <cmath>

namespace ntp::clock {
namespace {

constexpr std::size_t kRecent = 8;
constexpr std::size_t kEnoughForLoners = 12;
constexpr double kLoneGaps = 2;          // times what the median is above the next shortest
constexpr double kLearnedSamples = 200;  // memory of the mean queueing
// Ratios of the two directions' queueing (as logarithms) below the first are noise; from twice that
// on they are taken as they are.
constexpr double kEqualRatio = 0.5;

double without_noise(double log_ratio) noexcept {
  const double size = std::fabs(log_ratio);
  if (size < kEqualRatio) return 0;
  if (size < 2 * kEqualRatio) return std::copysign(2 * (size - kEqualRatio), log_ratio);
  return log_ratio;
}

}  // namespace

Moments truncated_exponential(double range, double tilt) noexcept {
  const double y = tilt * range;
  if (std::fabs(y) < 1e-2) return {range / 2 - tilt * range * range / 12, range * range / 12};
  if (y < 0) {
    const Moments mirrored = truncated_exponential(range, -tilt);
    return {range - mirrored.mean, mirrored.variance};
  }
  const double tail = std::exp(-y);
  const double inside = -std::expm1(-y);
  return {1 / tilt - range * tail / inside,
          1 / (tilt * tilt) - range * range * tail / (inside * inside)};
}

void PathStatistics::insert_sorted(double delay_s) noexcept {
  const auto begin = sorted_.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(size_);
  const auto place = std::upper_bound(begin, end, delay_s);
  std::move_backward(place, end, end + 1);
  *place = delay_s;
  ++size_;
}

void PathStatistics::remove_sorted(double delay_s) noexcept {
  const auto begin = sorted_.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(size_);
  const auto place = std::lower_bound(begin, end, delay_s);
  std::move(place + 1, end, place);
  --size_;
}

void PathStatistics::add(double delay_s) noexcept {
  if (size_ == kWindow) remove_sorted(ring_[next_]);
  insert_sorted(delay_s);
  ring_[next_] = delay_s;
  next_ = (next_ + 1) % kWindow;
}

void PathStatistics::keep_latest(std::size_t keep) noexcept {
  keep = std::min(keep, size_);
  size_ = 0;
  for (std::size_t age = 0; age < keep; ++age) insert_sorted(latest(age));
}

double PathStatistics::variance() const noexcept {
  if (size_ < 2) return 0;
  double mean = 0;
  for (std::size_t i = 0; i < size_; ++i) mean += sorted_[i];
  mean /= static_cast<double>(size_);
  double sum = 0;
  for (std::size_t i = 0; i < size_; ++i) sum += (sorted_[i] - mean) * (sorted_[i] - mean);
  return sum / static_cast<double>(size_);
}

double PathStatistics::latest_minimum(std::size_t count) const noexcept {
  double smallest = latest(0);
  for (std::size_t age = 1; age < count && age < size_; ++age) {
    smallest = std::min(smallest, latest(age));
  }
  return smallest;
}

double PathStatistics::latest_variance(std::size_t count) const noexcept {
  count = std::min(count, size_);
  double mean = 0;
  for (std::size_t age = 0; age < count; ++age) mean += latest(age) / static_cast<double>(count);
  double sum = 0;
  for (std::size_t age = 0; age < count; ++age) {
    sum += (latest(age) - mean) * (latest(age) - mean);
  }
  return sum / static_cast<double>(count);
}

bool PathStatistics::has_lone_minimum() const noexcept {
  if (size_ < kEnoughForLoners) return false;
  const double next = sorted_[1];
  return next - minimum() > kLoneGaps * (median() - next);
}

void PathStatistics::forget_minimum() noexcept {
  for (std::size_t age = 0; age < size_; ++age) {
    double& delay_s = ring_[(next_ + kWindow - 1 - age) % kWindow];
    if (delay_s == sorted_[0]) delay_s = sorted_[1];
  }
  sorted_[0] = sorted_[1];
}

double PathStatistics::recent_delay_s() const noexcept {
  return size_ == 0 ? 0 : std::max(0.0, latest_minimum(kRecent));
}

void LongMinimum::restart(double at_s, double minimum_s, double count) noexcept {
  spans_ = {};
  add(at_s, minimum_s);
  for (auto& span : spans_) {
    if (span.count > 0) span.count = count;
  }
}

void LongMinimum::add(double at_s, double delay_s) noexcept {
  const auto number = static_cast<std::int64_t>(std::max(at_s, 0.0) / kSpan_s);
  for (auto& span : spans_) {
    if (number - span.number >= static_cast<std::int64_t>(kSpans)) span.count = 0;
  }
  Span& span = spans_[static_cast<std::size_t>(number) % kSpans];
  if (span.number != number || span.count == 0) span = {number, delay_s, 0};
  span.minimum_s = std::min(span.minimum_s, delay_s);
  span.count += 1;
}

double LongMinimum::minimum() const noexcept {
  double smallest = 1e300;
  for (const auto& span : spans_) {
    if (span.count > 0) smallest = std::min(smallest, span.minimum_s);
  }
  return smallest;
}

double LongMinimum::count() const noexcept {
  double sum = 0;
  for (const auto& span : spans_) sum += span.count;
  return sum;
}

void Queueing::learn(double up_s, double down_s, double count) noexcept {
  const double gain = 1 / std::min(kLearnedSamples, count);
  up_s_ += gain * (up_s - up_s_);
  down_s_ += gain * (down_s - down_s_);
}

double Queueing::mean_s() const noexcept { return std::sqrt(up_s_ * down_s_); }

double Queueing::tilt() const noexcept {
  if (!is_known()) return 0;
  const double half = without_noise(std::log(up_s_ / down_s_)) / 2;
  return (std::exp(-half) - std::exp(half)) / mean_s();
}

}  // namespace ntp::clock

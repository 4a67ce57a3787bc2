#include "clock/clock_filter.h"

#include <algorithm>
#include <cmath>

namespace ntp::clock {
namespace {

constexpr double kUnknownRate = 300e-6;  // one sigma of an oscillator that nobody has measured
constexpr double kNoiseFloor = 5e-9;     // of any stamp
constexpr std::uint64_t kSettled = 4;    // samples from which on the estimate can judge others
constexpr int kStepSamples = 2;
constexpr double kStepSigmas = 5;

double square(double x) noexcept { return x * x; }

}  // namespace

void ClockFilter::begin(const Sample& sample, const PathStatistics::View& path) noexcept {
  const double rate_sd = memory_.rate_sd > 0 ? memory_.rate_sd : kUnknownRate;
  const double sigma = std::max(sample.delay_s / 2, path.queueing_s) + sample.precision_s;
  bank_.start(sample.at, sample.offset_s, square(sigma) + square(kNoiseFloor), memory_.rate,
              square(rate_sd));
  bank_.prefer_wander(memory_.wander);
}

// Queues move an offset by half the round trip at most: what lies further off, twice on the same
// side, is a step of the source or another path.
bool ClockFilter::notice_step(const Sample& sample) noexcept {
  const Estimate now = bank_.estimate();
  const double innovation = sample.offset_s - now.offset_s;
  const double limit = std::max(sample.delay_s, 0.0) / 2 + kStepSigmas * std::sqrt(now.offset_var);
  if (samples_ < kSettled || std::abs(innovation) <= limit) {
    beyond_ = 0;
    return false;
  }
  const int side = innovation > 0 ? 1 : -1;
  beyond_ = beyond_ * side > 0 ? beyond_ + side : side;
  if (std::abs(beyond_) < kStepSamples) return false;
  beyond_ = 0;
  ++steps_;
  bank_.shift(innovation, square(sample.delay_s) / 12 + square(kNoiseFloor));
  return true;
}

void ClockFilter::update(const Sample& sample) noexcept {
  if (!std::isfinite(sample.offset_s) || !std::isfinite(sample.delay_s)) return;
  if (last_ && sample.at <= last_->at) return;
  last_ = sample;
  const double delay_s = std::max(sample.delay_s, 0.0);
  const auto path = path_.add(delay_s);
  if (samples_ == 0) begin(sample, path);
  bank_.advance(sample.at);
  notice_step(sample);

  const double floor = square(kNoiseFloor) + square(sample.precision_s);
  const Moments asymmetry = path_.asymmetry(path.excess_s);
  const Measurement by_delay{.offset_s = sample.offset_s - asymmetry.mean,
                             .variance = asymmetry.variance + floor};
  const Measurement constant{.offset_s = sample.offset_s, .variance = path.variance / 4 + floor};
  const Measurement between{.offset_s = by_delay.offset_s,
                            .variance = 2 / (1 / by_delay.variance + 1 / constant.variance)};
  // One-sided queues that build up slowly look like wander: a delayed sample must not say so.
  const double share = std::min(1.0, path.median_s / std::max(path.excess_s, 1e-12));
  if (samples_ > 0) bank_.update({by_delay, constant, between}, square(share));
  ++samples_;
  jitter_s_ = std::sqrt(by_delay.variance);

  if (samples_ > kSettled) {
    const double excess_s = path.excess_s;
    const double there_s = std::clamp(sample.offset_s - bank_.estimate().offset_s + excess_s / 2,
                                      0.01 * excess_s, 0.99 * excess_s);
    path_.learn(there_s, excess_s - there_s);
  }
}

ClockFilter::Memory ClockFilter::memory() const noexcept {
  if (empty()) return memory_;
  const Estimate now = bank_.estimate();
  return {.rate = now.rate, .rate_sd = std::sqrt(now.rate_var), .wander = bank_.likely_wander()};
}

}  // namespace ntp::clock

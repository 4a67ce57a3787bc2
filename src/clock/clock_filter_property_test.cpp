// What holds of the filter for every stream of samples. NTP_PROPERTY_STREAMS sets how many,
// NTP_PROPERTY_SEED repeats a run.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "clock/clock_filter.h"
#include "clock/dice_test.h"
#include "sim/random.h"

namespace ntp::clock {
namespace {

using sim::Random;

RawTime at_s(double t) {
  return RawTime(std::chrono::nanoseconds(static_cast<std::int64_t>(t * 1e9)));
}

// Anything a source may say, in streams of one temper each.
class AnyStream {
 public:
  explicit AnyStream(std::uint64_t seed) : random_(seed) {
    delay_s_ = size(-9, 2);
    offset_s_ = size(-9, 10);
    interval_s_ = size(-6, 7);
    wild_ = random_.chance(0.5);
  }
  Sample next() {
    const double kind = random_.uniform();
    const double step = kind < 0.05 ? 0 : kind < 0.06 ? size(0, 8) : interval_s_ * part();
    now_s_ = std::min(now_s_ + step, 9e9);
    if (kind > 0.99) now_s_ = std::max(0.0, now_s_ - 1);
    Sample sample{.at = at_s(now_s_), .offset_s = offset_s_ * part(), .delay_s = delay_s_ * part()};
    if (random_.chance(0.5)) sample.offset_s = -sample.offset_s;
    if (random_.chance(wild_ ? 0.5 : 0.05)) sample.delay_s = -sample.delay_s;
    if (random_.chance(0.1)) sample.delay_s = 0;
    if (random_.chance(0.02)) sample.delay_s *= 1e6;
    if (random_.chance(0.02)) sample.offset_s *= size(-12, 3);
    if (random_.chance(0.3)) sample.precision_s = size(-9, -1);
    return sample;
  }
  double now_s() const { return now_s_; }

 private:
  double size(double low, double high) {
    return std::pow(10, low + (high - low) * random_.uniform());
  }
  double part() { return wild_ ? size(-9, 0) : random_.uniform(); }

  Random random_;
  bool wild_ = false;  // nine orders of magnitude within the stream
  double now_s_ = 0;
  double delay_s_ = 0;
  double offset_s_ = 0;
  double interval_s_ = 0;
};

void expect_sound(const Estimate& e) {
  ASSERT_TRUE(std::isfinite(e.offset_s));
  ASSERT_TRUE(std::isfinite(e.rate));
  ASSERT_TRUE(std::isfinite(e.covariance));
  ASSERT_TRUE(std::isfinite(e.offset_var) && e.offset_var > 0);
  ASSERT_TRUE(std::isfinite(e.rate_var) && e.rate_var > 0);
  ASSERT_TRUE(std::isfinite(e.wander) && e.wander > 0);
  // Positive definite, but for the rounding of the products themselves.
  ASSERT_LE(e.covariance * e.covariance, e.offset_var * e.rate_var * (1 + 1e-9));
}

// How many samples were taken.
std::uint64_t run_stream(std::uint64_t seed, int length) {
  SCOPED_TRACE(testing::Message() << "NTP_PROPERTY_STREAMS=1 NTP_PROPERTY_SEED=" << seed);
  AnyStream stream(seed);
  ClockFilter filter;
  for (int k = 0; k < length && !testing::Test::HasFatalFailure(); ++k) {
    filter.update(stream.next());
    if (filter.empty()) continue;
    expect_sound(filter.estimate(at_s(stream.now_s() + (k % 7) * 100)));
    EXPECT_TRUE(std::isfinite(filter.jitter_s()) && filter.jitter_s() > 0);
  }
  return filter.samples();
}

// Mostly short streams, since the first samples are judged in another way, and some long ones.
TEST(ClockFilterProperty, StaysFiniteAndPositiveUnderAnyStreamOfSamples) {
  const std::uint64_t first = printed_seed(std::random_device{}());
  const std::uint64_t streams = streams_of_a_run(1000);
  std::uint64_t samples = 0;
  for (std::uint64_t seed = first; seed < first + streams && !HasFailure(); ++seed) {
    samples += run_stream(seed, seed % 64 == 0 ? 2000 : 10 + static_cast<int>(seed % 91));
  }
  std::printf("%llu streams, %llu samples taken\n", static_cast<unsigned long long>(streams),
              static_cast<unsigned long long>(samples));
}

// A rate that could be off by 100 s/s left a covariance beyond what its variances allow: the 12th
// digit was gone.
TEST(ClockFilterProperty, StaysPositiveInTheStreamWhoseRateWasBeyondDoubt) {
  run_stream(5'865'566'050'289'256'056, 2000);
}

}  // namespace
}  // namespace ntp::clock

#include "clock/path_statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <vector>

namespace ntp::clock {
namespace {

// Midpoint rule over [0, range].
Moments by_numbers(double range, double tilt) {
  constexpr int kSteps = 20'000;
  double mass = 0, first = 0, second = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double x = range * (i + 0.5) / kSteps;
    const double density = std::exp(-tilt * (x - (tilt < 0 ? range : 0)));
    mass += density;
    first += x * density;
    second += x * x * density;
  }
  first /= mass;
  return {first, second / mass - first * first};
}

TEST(PathStatistics, ForgetsAMinimumThatStandsAlone) {
  PathStatistics path;
  path.add(0.018);
  for (int i = 1; i < 12; ++i) {
    EXPECT_FALSE(path.has_lone_minimum()) << i;  // too few to say
    path.add(0.024 + 0.0005 * i);
  }
  ASSERT_TRUE(path.has_lone_minimum());
  path.forget_minimum();
  EXPECT_EQ(path.minimum(), 0.0245);
  EXPECT_EQ(path.size(), 12u);
  EXPECT_FALSE(path.has_lone_minimum());
  for (int i = 0; i < 1000; ++i) path.add(0.03);  // what is in the window is still consistent
  EXPECT_EQ(path.minimum(), 0.03);
}

TEST(TruncatedExponential, HasTheMomentsOfItsDensity) {
  for (const double range : {1e-6, 1e-3, 1.0}) {
    for (const double y : {-30.0, -3.0, -0.1, -0.0011, -0.0009, 0.0, 1e-9, 0.01, 1.0, 30.0}) {
      const Moments closed = truncated_exponential(range, y / range);
      const Moments counted = by_numbers(range, y / range);
      EXPECT_NEAR(closed.mean / range, counted.mean / range, 1e-5) << range << ' ' << y;
      EXPECT_NEAR(closed.variance / (range * range), counted.variance / (range * range), 1e-4);
    }
  }
}

TEST(PathStatistics, AgreesWithCountingAgain) {
  std::mt19937_64 random(11);
  PathStatistics statistics;
  std::deque<double> window;
  for (int i = 0; i < 2000; ++i) {
    const double delay = static_cast<double>(random() % 97);  // many are equal
    statistics.add(delay);
    window.push_back(delay);
    if (window.size() > PathStatistics::kWindow) window.pop_front();
    if (i % 500 == 499) {
      statistics.keep_latest(20);
      window.erase(window.begin(), window.end() - 20);
    }
    std::vector<double> sorted(window.begin(), window.end());
    std::ranges::sort(sorted);
    ASSERT_EQ(statistics.size(), sorted.size());
    ASSERT_EQ(statistics.minimum(), sorted.front());
    ASSERT_EQ(statistics.median(), sorted[sorted.size() / 2]);
    const auto tail = std::min<std::size_t>(8, window.size());
    ASSERT_EQ(statistics.latest_minimum(8),
              *std::min_element(window.end() - static_cast<std::ptrdiff_t>(tail), window.end()));
  }
}

TEST(PathStatistics, VarianceIsThatOfTheWindow) {
  PathStatistics statistics;
  EXPECT_EQ(statistics.variance(), 0);
  for (const double delay : {1.0, 3.0, 5.0, 7.0}) statistics.add(delay);
  EXPECT_DOUBLE_EQ(statistics.variance(), 5);
  EXPECT_DOUBLE_EQ(statistics.latest_variance(2), 1);
}

TEST(LongMinimum, IsForgottenAfterTwoDays) {
  LongMinimum shortest;
  shortest.add(0, 1);
  double at_s = 0;
  while (at_s < 44 * 3600) {
    shortest.add(at_s += 600, 2);
    ASSERT_EQ(shortest.minimum(), 1) << at_s;
  }
  while (at_s < 49 * 3600) shortest.add(at_s += 600, 2);
  EXPECT_EQ(shortest.minimum(), 2);
}

TEST(LongMinimum, CountsWhatItWasTakenFrom) {
  LongMinimum shortest;
  for (int i = 0; i < 100; ++i) shortest.add(i * 600, 3);
  EXPECT_EQ(shortest.count(), 100);
  shortest.restart(60'000, 4, 12);
  EXPECT_EQ(shortest.count(), 12);
  EXPECT_EQ(shortest.minimum(), 4);
}

TEST(PathStatistics, RecentDelayIsTheBestOfEightAndNeverNegative) {
  PathStatistics statistics;
  EXPECT_EQ(statistics.recent_delay_s(), 0);
  for (const double delay : {1.0, 5.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0}) statistics.add(delay);
  EXPECT_EQ(statistics.recent_delay_s(), 1);
  statistics.add(5);
  EXPECT_EQ(statistics.recent_delay_s(), 4);
  statistics.add(-1e-6);
  EXPECT_EQ(statistics.recent_delay_s(), 0);
}

TEST(Queueing, TiltsToTheBusierDirectionWhenItIsClear) {
  Queueing queueing;
  EXPECT_FALSE(queueing.is_known());
  EXPECT_EQ(queueing.tilt(), 0);
  queueing.start(1e-3);
  EXPECT_EQ(queueing.tilt(), 0);
  for (int i = 1; i <= 2000; ++i) queueing.learn(1.4e-3, 1e-3, i);
  EXPECT_EQ(queueing.tilt(), 0) << "that may be chance";
  for (int i = 1; i <= 2000; ++i) queueing.learn(0.2e-3, 2e-3, i);
  EXPECT_NEAR(queueing.tilt(), 1 / 0.2e-3 - 1 / 2e-3, 1);
  EXPECT_NEAR(queueing.mean_s(), std::sqrt(0.2e-3 * 2e-3), 1e-6);
}

}  // namespace
}  // namespace ntp::clock

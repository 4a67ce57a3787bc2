#include "clock/rate_history.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "sim/random.h"

namespace ntp::clock {
namespace {

constexpr double kDay_s = 86'400;

TEST(RateHistory, SeesWhatTemperatureDoesByTheHourOfTheDay) {
  RateHistory history;
  constexpr double kPpm = 1e-6;
  for (double t = 0; t <= kDay_s; t += 64) {
    history.add(t, kPpm * std::sin(2 * std::numbers::pi * t / kDay_s), 1e-18);
  }
  // Over any time without samples, as long as there have been some, the bound covers what came.
  for (double idle_s = 1800; idle_s <= 12 * 3600; idle_s *= 2) {
    const double phase = 2 * std::numbers::pi * idle_s / kDay_s;
    const double moved = kPpm * (idle_s - kDay_s / (2 * std::numbers::pi) * std::sin(phase));
    EXPECT_GE(4.5 * std::sqrt(history.wander() * std::pow(idle_s, 3) / 3), moved) << idle_s;
  }
}

TEST(RateHistory, FindsTheWanderOfARandomWalkAndNoneInNoise) {
  for (const double wander : {0.0, 1e-9, 1e-8}) {
    double ratio = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      sim::Random random(seed);
      RateHistory history;
      double rate = 0;
      for (int i = 0; i < 96; ++i) {
        rate += wander * std::sqrt(RateHistory::kSpacing_s) * random.normal();
        history.add(i * RateHistory::kSpacing_s, rate + 1e-9 * random.normal(), 1e-18);
      }
      ratio += history.wander() / (wander > 0 ? wander * wander : 1e-18) / 20;
    }
    if (wander > 0) {
      EXPECT_GT(ratio, 0.7) << wander;
      EXPECT_LT(ratio, 5) << wander;  // the largest of seven lags, some of few points
    } else {
      EXPECT_LT(ratio, 1e-3);
    }
  }
}

TEST(RateHistory, KeepsOnePointInHalfAnHour) {
  RateHistory history;
  history.add(0, 0, 0);
  history.add(1799, 1e-3, 0);
  EXPECT_EQ(history.wander(), 0);
  history.add(1800, 1e-6, 0);
  EXPECT_DOUBLE_EQ(history.wander(), 1e-12 / 1800);
}

}  // namespace
}  // namespace ntp::clock

#include "clock/steering.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ntp::clock {
namespace {

// A kernel whose clock does what it is told, once a second, against a served clock of `rate`.
struct Kernel {
  double error_s;
  double rate = 0;
  int steps = 0;

  Correction second(Steering& steering, double served_rate, const SteeringPolicy& policy) {
    const auto correction = steering.correct(error_s, served_rate, policy);
    if (correction.kind == Correction::Kind::refuse) return correction;
    if (correction.kind == Correction::Kind::step) {
      error_s += correction.step_s;
      ++steps;
    }
    rate = correction.rate;
    error_s += rate - served_rate;
    return correction;
  }
};

TEST(Steering, ALargeErrorIsSteppedAtTheStartAndNeverLater) {
  Steering steering;
  Kernel kernel{.error_s = -86'400};
  kernel.second(steering, 20e-6, {});
  EXPECT_EQ(kernel.steps, 1);
  EXPECT_NEAR(kernel.error_s, 0, 1e-9);
  for (int i = 0; i < 5; ++i) kernel.second(steering, 20e-6, {});
  kernel.error_s = 0.9;
  for (int i = 0; i < 1000; ++i) kernel.second(steering, 20e-6, {});
  EXPECT_EQ(kernel.steps, 1);
  EXPECT_NEAR(kernel.error_s, 0, 1e-3) << "slewed at 1000 ppm";
}

TEST(Steering, ASlewDecaysWithoutEverChangingItsSign) {
  Steering steering;
  Kernel kernel{.error_s = 300e-6};
  for (int i = 0; i < 60; ++i) {
    kernel.second(steering, -35e-6, {});
    ASSERT_GE(kernel.error_s, 0);
  }
  EXPECT_LT(kernel.error_s, 1e-9);
  EXPECT_NEAR(kernel.rate, -35e-6, 1e-9);
}

TEST(Steering, AnErrorOverTheLimitIsRefusedOnceTheClockWasRight) {
  Steering steering;
  Kernel kernel{.error_s = 0};
  for (int i = 0; i < 10; ++i) kernel.second(steering, 0, {});
  kernel.error_s = 1001;
  EXPECT_EQ(kernel.second(steering, 0, {}).kind, Correction::Kind::refuse);
  EXPECT_EQ(kernel.error_s, 1001);
  EXPECT_EQ(kernel.second(steering, 0, {.max_change_s = 0}).kind, Correction::Kind::slew);
}

TEST(Steering, StepsAreNotLimitedWhereThePolicySaysSo) {
  Steering steering;
  Kernel kernel{.error_s = 0};
  const SteeringPolicy always{.step_updates = -1};
  for (int i = 0; i < 100; ++i) kernel.second(steering, 0, always);
  kernel.error_s = 5;
  kernel.second(steering, 0, always);
  EXPECT_EQ(kernel.steps, 1);
}

}  // namespace
}  // namespace ntp::clock

#include "clock/steering.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ntp::clock {
namespace {

// A kernel whose clock does what it is told, once a second, against a served clock of `rate`.
struct Kernel {
  double error_s;
  double served_sd_s = 0;
  double rate = 0;
  int steps = 0;

  Correction second(Steering& steering, double served_rate, const SteeringPolicy& policy) {
    const auto correction = steering.correct(error_s, served_sd_s, served_rate, policy);
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

TEST(Steering, WhatMayBeTheServedClocksOwnNoiseIsWorkedOffSlowly) {
  constexpr double kSd_s = 10e-6;
  for (const double errors : {0.5, 1.0, 3.0, 100.0}) {
    Steering steering;
    Kernel kernel{.error_s = errors * kSd_s, .served_sd_s = kSd_s};
    const double fastest = std::abs(kernel.second(steering, 0, {}).rate);
    EXPECT_LE(fastest, errors <= 1 ? kSd_s / 31 : kernel.error_s / 3) << errors;
    for (int i = 0; i < 600; ++i) {
      kernel.second(steering, 0, {});
      ASSERT_GE(kernel.error_s, 0) << errors;
    }
    EXPECT_LT(kernel.error_s, kSd_s / 1000) << errors;
  }
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

TEST(Steering, ARefusalEndsTheSlewThatWasUnderWay) {
  Steering steering;
  for (int i = 0; i < 3; ++i) steering.correct(0.4, 0, 30e-6, {});
  EXPECT_NE(steering.correct(0.4, 0, 30e-6, {}).rate, 30e-6);
  const Correction refused{.kind = Correction::Kind::refuse, .rate = 30e-6};
  EXPECT_EQ(steering.correct(2000, 0, 30e-6, {}), refused);
}

TEST(Steering, TheLimitHoldsFromTheFirstOrSecondCorrectionWhereStepsAreNotCounted) {
  for (const int step_updates : {0, -1}) {
    Steering steering;
    const SteeringPolicy policy{.step_updates = step_updates};
    const auto first = steering.correct(5000, 0, 0, policy).kind;
    EXPECT_EQ(first, step_updates < 0 ? Correction::Kind::step : Correction::Kind::refuse);
    EXPECT_EQ(steering.correct(5000, 0, 0, policy).kind, Correction::Kind::refuse);
  }
}

TEST(Steering, AnyOffsetAndFrequencyIsLedToZeroWithoutOvershoot) {
  for (const double served_rate : {-500e-6, -20e-6, 0.0, 20e-6, 500e-6}) {
    for (const double offset_s : {-0.4, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 0.4}) {
      Steering steering;
      Kernel kernel{.error_s = offset_s};
      const double sign = offset_s < 0 ? -1 : 1;
      for (int i = 0; i < 600; ++i) {
        kernel.second(steering, served_rate, {});
        ASSERT_GE(kernel.error_s * sign, -1e-12) << offset_s << ' ' << served_rate;
      }
      EXPECT_LT(std::abs(kernel.error_s), 1e-9) << offset_s << ' ' << served_rate;
      EXPECT_EQ(kernel.steps, 0);
    }
  }
}

TEST(Steering, AnotherProgramIsKnownByTheFrequencyThatItLeaves) {
  Steering steering;
  EXPECT_FALSE(steering.is_disturbed(5e-6)) << "nothing is known before the first correction";
  steering.left_at(20e-6);
  EXPECT_FALSE(steering.is_disturbed(20e-6));
  EXPECT_FALSE(steering.is_disturbed(20e-6 + 1.6e-11)) << "the kernel's rounding";
  EXPECT_TRUE(steering.is_disturbed(20e-6 + 1e-9));
  EXPECT_TRUE(steering.is_disturbed(0));
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

#include "clock/kalman_bank.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace ntp::clock {
namespace {

Measurement gaussian(double offset_s, double sigma_s) {
  return {.offset_s = offset_s,
          .corrected_s = offset_s,
          .corrected_var = sigma_s * sigma_s,
          .constant_var = sigma_s * sigma_s,
          .excess_s = 2 * sigma_s * std::sqrt(3.0),
          .tilt = 0,
          .edge_var = sigma_s * sigma_s / 100};
}

TEST(KalmanBank, PredictionAddsWhatTheModelAdds) {
  KalmanBank bank;
  bank.start(2, 1e-4, 3e-6, 1e-10);
  const BankEstimate before = bank.estimate();
  bank.predict(1000);
  const BankEstimate after = bank.estimate();
  const double q = before.wander;
  EXPECT_NEAR(after.offset_s, 2 + 3e-3, 1e-12);
  EXPECT_NEAR(after.offset_var, 1e-4 + 1e6 * 1e-10 + q * 1e9 / 3, 1e-10);
  EXPECT_NEAR(after.covariance, 1000 * 1e-10 + q * 1e6 / 2, 1e-13);
  EXPECT_NEAR(after.rate_var, 1e-10 + q * 1000, 1e-16);
}

TEST(KalmanBank, LookingAheadIsWhatPredictionDoes) {
  KalmanBank bank;
  bank.start(0, 1e-6, 1e-6, 1e-12);
  for (int i = 0; i < 20; ++i) {
    bank.predict(16);
    bank.update(gaussian(1e-3 * (i % 3), 1e-3));
  }
  const BankEstimate ahead = bank.estimate(500);
  bank.predict(500);
  const BankEstimate there = bank.estimate();
  EXPECT_DOUBLE_EQ(ahead.offset_s, there.offset_s);
  EXPECT_DOUBLE_EQ(ahead.offset_var, there.offset_var);
  EXPECT_DOUBLE_EQ(ahead.rate_var, there.rate_var);
}

TEST(KalmanBank, OneSampleIsWeighedByTheVariances) {
  KalmanBank bank;
  bank.start(0, 4e-6, 0, 1e-20);
  bank.update(gaussian(1e-3, 1e-3));
  const BankEstimate e = bank.estimate();
  EXPECT_NEAR(e.offset_s, 0.8e-3, 0.08e-3);
  EXPECT_NEAR(e.offset_var, 0.8e-6, 0.2e-6);
}

TEST(KalmanBank, AnIntervalExcludesWhatIsOutsideOfIt) {
  KalmanBank bank;
  bank.start(0, 1e-6, 0, 1e-20);
  Measurement m = gaussian(5e-3, 0);
  m.excess_s = 8e-3;  // the source is at 1 to 9 ms
  m.corrected_var = m.excess_s * m.excess_s / 12;
  m.constant_var = 1e-2;
  m.edge_var = 1e-12;
  for (int i = 0; i < 30; ++i) bank.update(m);
  EXPECT_GT(bank.estimate().offset_s, 0.9e-3);
}

TEST(KalmanBank, LearnsHowMuchTheClockWanders) {
  for (const double wander : {1e-9, 1e-7}) {
    std::mt19937_64 random(3);
    const auto normal = [&random] {  // twelve uniforms: the same with every standard library
      double sum = -6;
      for (int i = 0; i < 12; ++i) sum += static_cast<double>(random() >> 11) * 0x1p-53;
      return sum;
    };
    KalmanBank bank;
    bank.start(0, 1e-6, 0, 1e-10);
    double offset = 0;
    double rate = 0;
    for (int i = 0; i < 2000; ++i) {
      for (int s = 0; s < 16; ++s) {
        offset += rate;
        rate += wander * normal();
      }
      bank.predict(16);
      bank.update(gaussian(offset + 1e-6 * normal(), 1e-6));
    }
    const BankEstimate e = bank.estimate();
    EXPECT_GT(std::sqrt(e.wander), wander / 3);
    EXPECT_LT(std::sqrt(e.wander), wander * 3);
    EXPECT_GE(e.wander_upper, e.wander * 0.3);
    EXPECT_LT(std::fabs(e.offset_s - offset), 6 * std::sqrt(e.offset_var));
  }
}

TEST(KalmanBank, AnchoringKeepsTheRate) {
  KalmanBank bank;
  bank.start(1, 1e-6, 5e-6, 1e-12);
  bank.predict(64);
  const BankEstimate before = bank.estimate();
  bank.anchor(0.5, 1e-4);
  const BankEstimate after = bank.estimate();
  EXPECT_NEAR(after.offset_s, before.offset_s + 0.5, 1e-12);
  EXPECT_NEAR(after.offset_var, 1e-4, 1e-12);
  EXPECT_DOUBLE_EQ(after.rate, before.rate);
  EXPECT_NEAR(after.rate_var, before.rate_var, 1e-18);
  EXPECT_DOUBLE_EQ(after.covariance, 0);
}

}  // namespace
}  // namespace ntp::clock

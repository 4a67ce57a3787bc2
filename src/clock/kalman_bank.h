// Offset and frequency of a clock whose wander and whose measurement noise are not known: a bank of
// Kalman filters, one for each pair of guesses, weighted by how well each predicts. Pure.
#pragma once

#include <array>
#include <cstddef>

#include "clock/estimate.h"

namespace ntp::clock {

// How the noise of a measurement is guessed: by its round trip, as that of every other, or between.
inline constexpr std::size_t kNoiseModels = 3;
struct Measurement {
  double offset_s = 0;
  double variance = 0;
};

class KalmanBank {
 public:
  // Frequency variance per second, from 10^-21 to 10^-13 (wander of 10^-10.5 to 10^-6.5 per root
  // s).
  static constexpr std::size_t kWanders = 9;

  void start(RawTime at, double offset_s, double offset_var, double rate, double rate_var) noexcept;
  void advance(RawTime to) noexcept;  // not back
  // `weight` in [0, 1]: how far this measurement may judge between the guesses.
  void update(const std::array<Measurement, kNoiseModels>& seen, double weight) noexcept;
  // The clock jumped: offset anew, frequency kept.
  void shift(double by_s, double offset_var) noexcept;

  Estimate estimate() const noexcept;
  double likely_wander() const noexcept;  // weighted mean of the logarithms; for reports and memory
  void prefer_wander(double wander) noexcept;  // from an earlier run

 private:
  struct Member {
    double offset_s = 0, rate = 0;
    double offset_var = 1, covariance = 0, rate_var = 1;
    double log_weight = 0;
  };
  static constexpr std::size_t kMembers = kWanders * kNoiseModels;

  std::array<double, kMembers> weights() const noexcept;

  RawTime at_{};
  std::array<Member, kMembers> members_{};  // the model varies slowest
};

}  // namespace ntp::clock

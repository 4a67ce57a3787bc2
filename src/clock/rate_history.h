// How far a clock's frequency has been seen to move over half an hour, an hour ... two days. A
// filter of samples learns the wander between samples; what temperature does by the hour of the day
// hardly shows there, and is most of the error when samples have stopped for long. Pure; constant
// memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ntp::clock {

class RateHistory {
 public:
  static constexpr double kSpacing_s = 1800;
  static constexpr std::size_t kKept = 96;

  // `rate` as estimated at `at_s`, with its variance; kept when kSpacing_s have passed.
  void add(double at_s, double rate, double rate_var) noexcept;
  // Variance that the frequency gains per second, were it a random walk that moves as far over each
  // lag as was seen; the largest of all lags. 0 as long as nothing but noise is seen.
  double wander() const noexcept { return wander_; }

 private:
  struct Point {
    double at_s = 0;
    double rate = 0;
    double variance = 0;
  };
  double wander_over(std::size_t lag) const noexcept;

  std::array<Point, kKept> points_{};
  std::uint64_t count_ = 0;
  double wander_ = 0;
};

}  // namespace ntp::clock

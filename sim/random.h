// Randomness of the simulations: the same numbers from the same seed with every compiler.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace ntp::sim {

// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and good enough for every statistic here.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t bits() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  double uniform() noexcept {
    return (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53;
  }  // (0, 1)
  double exponential() noexcept { return -std::log(uniform()); }  // mean 1
  double normal() noexcept {
    return std::sqrt(2 * exponential()) * std::cos(2 * std::numbers::pi * uniform());
  }
  bool chance(double probability) noexcept { return uniform() < probability; }

 private:
  std::uint64_t state_;
};

}  // namespace ntp::sim

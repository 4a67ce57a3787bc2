// A small seeded generator for noise that is not a secret (bits below a clock's precision).
#pragma once

#include <cstdint>

namespace ntp {

// SplitMix64. The same seed gives the same sequence; the seed comes from the caller.
class NoiseSource {
 public:
  explicit constexpr NoiseSource(std::uint64_t seed) noexcept : state_(seed) {}

  constexpr std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

}  // namespace ntp

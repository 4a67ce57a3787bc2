// Randomness as an argument: a small seeded generator for noise that is not a secret (bits below a
// clock's precision), and the interface that secrets come through.
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

// Where nonces come from: the kernel in the program, a seed in tests and simulations. NoiseSource
// will not do for them: one value of it, which every server asked gets to see, tells all others.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual std::uint64_t next() = 0;
};

// For tests and simulations only: the same seed gives the same sequence.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(std::uint64_t seed) : noise_(seed) {}
  std::uint64_t next() override { return noise_.next(); }

 private:
  NoiseSource noise_;
};

// Evenly from [0, 1).
inline double unit_fraction(RandomSource& random) {
  return static_cast<double>(random.next() >> 11) * 0x1p-53;
}

}  // namespace ntp

// Random numbers that are the same on every machine and with every compiler: the standard library
// leaves its distributions to the implementation, and a seed must reproduce a run.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace ntp::sim {

// xoshiro256++ (Blackman and Vigna), seeded by splitmix64 so that neighbouring seeds are unrelated.
class Random {
 public:
  // `stream` gives each model of a run numbers of its own: another draw here moves nothing there.
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) noexcept {
    std::uint64_t mixed = seed * 0x9e37'79b9'7f4a'7c15 + stream * 0xd1b5'4a32'd192'ed03;
    for (auto& word : state_) word = split(mixed);
  }

  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // Open at both ends, so that its logarithm is finite.
  double uniform() noexcept { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
  double exponential() noexcept { return -std::log(uniform()); }
  // Box-Muller, one of the pair: the number of draws per value must not depend on the values.
  double normal() noexcept {
    const double radius = std::sqrt(2 * exponential());
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }
  bool chance(double probability) noexcept { return uniform() < probability; }

 private:
  static std::uint64_t split(std::uint64_t& state) noexcept {
    std::uint64_t word = (state += 0x9e37'79b9'7f4a'7c15);
    word = (word ^ (word >> 30)) * 0xbf58'476d'1ce4'e5b9;
    word = (word ^ (word >> 27)) * 0x94d0'49bb'1331'11eb;
    return word ^ (word >> 31);
  }

  std::array<std::uint64_t, 4> state_{};
};

}  // namespace ntp::sim

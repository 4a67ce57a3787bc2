// Dice of the clock's tests: one printed seed repeats a run (NTP_PROPERTY_SEED=…).
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace ntp::clock {

inline std::mt19937_64 seeded_dice(std::uint64_t otherwise) {
  const char* given = std::getenv("NTP_PROPERTY_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
  std::printf("NTP_PROPERTY_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return std::mt19937_64(seed);
}

inline double uniform(std::mt19937_64& dice, double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(dice);
}

}  // namespace ntp::clock

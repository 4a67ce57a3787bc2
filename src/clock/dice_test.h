// Dice of the clock's tests: one printed seed repeats a run (NTP_PROPERTY_SEED=…), and a run can be
// made longer (NTP_PROPERTY_STREAMS=…).
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace ntp::clock {

inline std::uint64_t printed_seed(std::uint64_t otherwise) {
  const char* given = std::getenv("NTP_PROPERTY_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
  std::printf("NTP_PROPERTY_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

inline std::mt19937_64 seeded_dice(std::uint64_t otherwise) {
  return std::mt19937_64(printed_seed(otherwise));
}

inline std::uint64_t streams_of_a_run(std::uint64_t otherwise) {
  const char* given = std::getenv("NTP_PROPERTY_STREAMS");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
}

inline double uniform(std::mt19937_64& dice, double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(dice);
}

}  // namespace ntp::clock

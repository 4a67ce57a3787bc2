// Another clock and CLOCK_MONOTONIC_RAW, read as of one moment.
#pragma once

#include <chrono>
#include <utility>

#include "base/time.h"

namespace ntp::os {

// Readings between which the processor was taken away look like a step of the clock, or like a
// sleep of the machine. So the other clock is read between two readings of the raw one, again until
// these are close to each other; of kTries the closest count. They belong together within half of
// their distance.
template <class Other, class Raw>
auto read_beside_raw(Other other, Raw raw) noexcept {
  constexpr std::chrono::microseconds kTogether{20};
  constexpr int kTries = 10;
  auto closest = std::chrono::nanoseconds::max();
  std::pair<decltype(other()), RawTime> both{};
  for (int i = 0; i < kTries && closest > kTogether; ++i) {
    const RawTime begin = raw();
    const auto reading = other();
    const auto apart = raw() - begin;
    if (apart >= closest) continue;
    closest = apart;
    both = {reading, begin + apart / 2};
  }
  return both;
}

}  // namespace ntp::os

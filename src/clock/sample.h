// One exchange with a source, reduced to what the clock needs of it.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "wire/header.h"

namespace ntp::clock {

// Times are of the base timescale (clock_map.h), so no steering ever disturbs a sample.
struct Sample {
  RawTime at{};         // middle of the exchange, between T1 and T4
  double offset_s = 0;  // source minus base: ((T2 - T1) + (T3 - T4)) / 2
  double delay_s = 0;   // (T4 - T1) - (T3 - T2); may be zero or slightly negative on coarse clocks
  double precision_s = 0;  // resolution of the stamps of both sides: one sigma of what they round

  // What the source says of itself, at `at`.
  double root_delay_s = 0;
  double root_dispersion_s = 0;
  wire::Leap leap = wire::Leap::unknown;
  std::uint8_t stratum = 0;
  std::uint32_t refid = 0;

  friend bool operator==(const Sample&, const Sample&) = default;
};

}  // namespace ntp::clock

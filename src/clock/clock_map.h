// The base timescale of samples and the served one are both a ClockMap.
#pragma once

#include "base/clock_map.h"

namespace ntp::clock {
using ntp::ClockMap;
using ntp::LeapingMap;
}  // namespace ntp::clock

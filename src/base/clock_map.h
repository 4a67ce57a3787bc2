// A timescale as a map of the raw one: all that steering ever changes.
#pragma once

#include <cmath>

#include "base/time.h"

namespace ntp {

// time(raw) = real + (raw - at) * (1 + rate). The served clock is one; with rate 0 and fixed at the
// start it is the *base* timescale, which samples are measured against and nobody ever steers.
struct ClockMap {
  RawTime at{};
  RealTime real{};
  double rate = 0;  // seconds per raw second, less one

  RealTime operator()(RawTime raw) const noexcept {
    const auto elapsed = raw - at;
    const double gained_ns = static_cast<double>(elapsed.count()) * rate;
    return real + elapsed + std::chrono::nanoseconds(std::llround(gained_ns));
  }
};

// A map with at most one leap second ahead, so that whoever reads it between two updates of its
// keeper is right as well.
struct LeapingMap {
  ClockMap map{};
  RawTime step_at = RawTime::max();
  std::chrono::seconds step{0};  // -1: a second is inserted

  RealTime operator()(RawTime raw) const noexcept {
    return raw < step_at ? map(raw) : map(raw) + step;
  }
};

}  // namespace ntp

// Times as people and machines read them (RFC 3339). Pure.
#pragma once

#include <chrono>
#include <string>

#include "base/time.h"

namespace ntp::control {

// "2026-11-23T01:19:25.123+01:00": local time, `utc_offset` east of UTC, cut to milliseconds.
// Seconds of an offset (local mean times) are left out, of the clock as well.
std::string rfc3339_local(RealTime time, std::chrono::seconds utc_offset);

// "2026-11-23T00:19:25.123456789Z".
std::string rfc3339_utc(RealTime time);

}  // namespace ntp::control

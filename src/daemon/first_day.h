#pragma once

#include "base/time.h"

namespace ntp::daemon {

// Nothing that this program has to do with is older than it is: 2026-11-01. A clock that tells an
// earlier time is wrong.
inline constexpr RealTime kFirstDay{std::chrono::seconds(1'793'491'200)};

}  // namespace ntp::daemon

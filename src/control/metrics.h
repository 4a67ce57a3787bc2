// The Report for Prometheus.
#pragma once

#include <string>
#include <string_view>

#include "control/report.h"

namespace ntp::control {

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// Text format 0.0.4. Names are ntpd-rs's where the meaning is the same; docs/operate lists them.
std::string metrics(const Report& report);

}  // namespace ntp::control

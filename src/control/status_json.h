// The Report as JSON, for /api/v1/status and whoever reads it. docs/formats/status.md is the
// schema.
#pragma once

#include <string>

#include "control/report.h"

namespace ntp::control {

// Grows when a field is removed or changes its meaning; new fields may come at any time.
inline constexpr int kStatusSchema = 1;

// One object, indented, with a line end.
std::string status_json(const Report& report);

}  // namespace ntp::control

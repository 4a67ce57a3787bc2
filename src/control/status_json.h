// The Report as JSON, for /api/v1/status and whoever reads it. docs/formats/status.md is the
// schema.
#pragma once

#include <cstdint>
#include <string>

#include "control/report.h"

namespace ntp::control {

// Grows when a field is removed or changes its meaning; new fields may come at any time.
inline constexpr int kStatusSchema = 1;

// One object, indented and with a line end, or all in one line without an end.
enum class JsonForm : std::uint8_t { indented, one_line };
std::string status_json(const Report& report, JsonForm form = JsonForm::indented);

}  // namespace ntp::control

// Scenarios as TOML texts (sim/scenarios/*.toml); sim/README.md says what may stand there.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "sim/world_model.h"

namespace ntp::sim {

// All [[scenario]] tables of all *.toml files of a folder, in the order of names and lines, or
// everything that is wrong with them as "file:line: what".
std::expected<std::vector<WorldModel>, std::vector<std::string>> load_scenarios(
    const std::string& folder);

// The same of one text.
std::expected<std::vector<WorldModel>, std::vector<std::string>> parse_scenarios(
    const std::string& text, const std::string& file);

}  // namespace ntp::sim

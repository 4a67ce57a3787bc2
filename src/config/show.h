// Settings as a configuration file again, and a problem list as text for people.
#pragma once

#include <string>

#include "config/load.h"

namespace ntp::config {

// Valid TOML that loads to the same settings. With `origins`, every line says where its value is
// from.
std::string show(const Loaded& loaded, bool origins);

// One line for each problem.
std::string show(const Problems& problems);

}  // namespace ntp::config

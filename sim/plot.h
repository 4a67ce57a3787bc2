// A run as a picture: error and bound on a scale that is logarithmic to both sides, frequency
// below.
#pragma once

#include <string>
#include <vector>

#include "sim/world.h"

namespace ntp::sim {

std::string svg(const std::string& title, const std::vector<Look>& looks);

}  // namespace ntp::sim

// The named conditions that a single source's filter is measured in.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "sim/link.h"
#include "sim/oscillator.h"

namespace ntp::sim {

struct Scenario {
  std::string name{};
  std::string what{};
  OscillatorModel oscillator{};
  LinkModel link{};
};

std::span<const Scenario> scenarios();

}  // namespace ntp::sim

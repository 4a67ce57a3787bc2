// The sources and the clock made of them, as every rendering shows them.
#pragma once

#include <string>
#include <vector>

#include "client/client.h"

namespace ntp::control {

struct SourceView {
  clock::ClockState state = clock::ClockState::cold;
  std::string reason{};
  RawTime at{};
  double offset_s = 0;   // of the host's clock against the served one: host - served
  double frequency = 0;  // of the served clock against the raw one, seconds per second
  double frequency_sd = 0;
  double bound_s = 0;
  std::vector<client::SourceReport> sources{};
  std::vector<client::Tracked> tracked{};
};

}  // namespace ntp::control

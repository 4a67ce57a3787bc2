// The configuration as the keeper of time takes it.
#pragma once

#include <optional>

#include "client/client.h"
#include "clock/host_clock.h"
#include "clock/steering.h"
#include "config/settings.h"

namespace ntp::daemon {

struct TimeSettings {
  clock::HostPolicy host{};
  client::ClientSettings client{};  // without sources the host's clock is served
  std::vector<Endpoint> listen{};
  std::string leap_file{};  // empty: none
  bool leap_file_is_default = false;
  std::optional<clock::SteeringPolicy> steering{};  // of the host's clock; empty: leave it alone
  std::string state_file{};                         // empty: none
};

// As configured, or the first of $STATE_DIRECTORY; empty: none.
std::string state_directory(const std::string& configured);

TimeSettings time_settings(const config::Settings& settings);

}  // namespace ntp::daemon

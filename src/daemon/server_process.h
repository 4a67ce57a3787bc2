// The running server: wires the threads together and owns them all.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "config/settings.h"

namespace ntp::daemon {

// Loads the configuration again, from the same places; the problems as lines for the log.
using Reload = std::function<std::expected<config::Settings, std::vector<std::string>>()>;

// Serves until SIGTERM or SIGINT. `config_file` is the one that `reload` reads, whether it is there
// or not. Returns the exit code (sysexits.h).
int run_server(config::Settings settings, const Reload& reload, const std::string& config_file);

}  // namespace ntp::daemon

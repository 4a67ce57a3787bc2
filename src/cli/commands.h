// The commands that do more than read the configuration. The command line ends here: each takes
// checked values and returns the exit code.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"

namespace ntp::cli {

// Loads the configuration again, from the same places; the problems as lines for the log.
using Reload = std::function<std::expected<config::Settings, std::vector<std::string>>()>;

struct HealthcheckOptions {
  std::optional<std::chrono::nanoseconds> max_error{};  // empty: liveness only
  std::chrono::nanoseconds timeout = std::chrono::seconds(2);
  std::string socket{};  // empty: the first usable place, see os/health_channel.h
};

struct QueryOptions {
  std::string host{};  // HOST or HOST:PORT, as written; never empty
  int count = 1;
  bool json = false;
  std::chrono::nanoseconds timeout = std::chrono::seconds(2);  // for each answer
};

int run_server(config::Settings settings, const Reload& reload);
int run_healthcheck(const HealthcheckOptions& options);  // 0 or 1 only
int run_query(const QueryOptions& options);

}  // namespace ntp::cli

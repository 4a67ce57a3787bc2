// The words of the command line, understood but not yet acted upon. Reads nothing else.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "config/load.h"

namespace ntp::cli {

enum class Command : std::uint8_t {
  run,
  healthcheck,
  ctl,
  query,
  check,
  config_show,
  ca,
  version,
  help,
};

struct CommandLine {
  Command command = Command::run;
  std::optional<std::string> config{};     // --config
  std::vector<config::FlagValue> flags{};  // of settings
  bool origins = false;                    // of config show
  HealthcheckOptions healthcheck{};
  CtlOptions ctl{};
  QueryOptions query{};
  CaOptions ca{};
  std::string help{};  // the text of Command::help
};

struct UsageError {
  std::string message{};  // one line
  std::string command{};  // whose --help shows what is right: "ntp-server query"
  int exit_code = config::kExitUsage;
};

// `arguments` without the program's name.
std::expected<CommandLine, UsageError> parse_command_line(std::vector<std::string> arguments);

}  // namespace ntp::cli

#include "cli/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "config/show.h"
#include "daemon/cookie_secret.h"
#include "daemon/server_process.h"
#include "os/clocks.h"
#include "os/config_files.h"
#include "os/secret_file.h"
#include "tls/server_context.h"
#include "version.h"

namespace ntp::cli {
namespace {

std::expected<config::Sources, config::Problems> read_sources(const CommandLine& line) {
  auto files = os::read_config_files(line.config);
  if (!files) return std::unexpected(std::move(files.error()));
  return config::Sources{.files = std::move(*files),
                         .environment = os::environment(),
                         .flags = line.flags,
                         .read_file = os::read_named_file};
}

std::expected<config::Loaded, config::Problems> load(const CommandLine& line) {
  const auto sources = read_sources(line);
  if (!sources) return std::unexpected(sources.error());
  return config::load(*sources);
}

int refuse(const config::Problems& problems) {
  complain(config::show(problems));
  complain(fmt::format("ntp-server: {} problem{} in the configuration\n", problems.size(),
                       problems.size() == 1 ? "" : "s"));
  return config::exit_code(problems);
}

int serve(const CommandLine& line) {
  auto loaded = load(line);
  if (!loaded) return refuse(loaded.error());
  const daemon::Reload reload =
      [line]() -> std::expected<config::Settings, std::vector<std::string>> {
    auto again = load(line);
    if (again) return std::move(again->settings);
    std::vector<std::string> lines;
    for (const auto& problem : again.error()) lines.push_back(to_string(problem));
    return std::unexpected(std::move(lines));
  };
  return daemon::run_server(std::move(loaded->settings), reload,
                            line.config.value_or(std::string(os::kDefaultConfigFile)));
}

// The files that the configuration names, with the eyes of whoever asks. What is wrong with them.
std::vector<std::string> check_files(const config::NtsSettings& nts,
                                     std::vector<std::string>& warnings) {
  std::vector<std::string> problems;
  if (!nts.enabled()) return problems;
  const auto context = tls::ServerContext::load(nts.certificate, nts.key, "ntske/1");
  if (context) {
    warnings.insert(warnings.end(), context->warnings().begin(), context->warnings().end());
    const auto validity = tls::validity_warning(context->certificate(), os::real_now());
    if (!validity.empty()) warnings.push_back(nts.certificate + ": " + validity);
  } else {
    problems.push_back(context.error());
  }
  for (const auto& path : {nts.cookie_secret_file, nts.cookie_secret_previous_file}) {
    if (path.empty()) continue;
    auto secret = daemon::read_cookie_secret(path);
    if (!secret) {
      problems.push_back(secret.error());
    } else if (!secret->warning.empty()) {
      warnings.push_back(secret->warning);
    }
    if (secret) os::wipe(secret->text);
  }
  return problems;
}

int check(const CommandLine& line) {
  const auto sources = read_sources(line);
  if (!sources) return refuse(sources.error());
  const auto loaded = config::load(*sources);
  if (!loaded) return refuse(loaded.error());
  auto warnings = loaded->settings.warnings;
  if (const auto problems = check_files(loaded->settings.nts, warnings); !problems.empty()) {
    complain(fmt::format("{}\n", fmt::join(problems, "\n")));
    return config::kExitConfig;
  }
  std::string text;
  for (const auto& warning : warnings) text += fmt::format("warning: {}\n", warning);
  text += "ok:";
  for (const auto& file : sources->files) text += ' ' + file.name;
  if (sources->files.empty()) text += " no configuration file";
  print(text + '\n');
  return EX_OK;
}

int show(const CommandLine& line) {
  const auto loaded = load(line);
  if (!loaded) return refuse(loaded.error());
  for (const auto& warning : loaded->settings.warnings) complain("warning: " + warning + '\n');
  print(config::show(*loaded, line.origins));
  return EX_OK;
}

// By the same configuration as the server's, with the socket that a flag names. A configuration
// that has become bad since the server started says nothing of its health, so problems are no
// reason to fail here.
LocalServer find_server(const CommandLine& line, const std::string& flag) {
  const auto sources = read_sources(line).value_or(
      config::Sources{.environment = os::environment(), .flags = line.flags});
  const auto settings = config::load_what_is_good(sources);
  return {.socket = flag.empty() ? settings.health_socket : flag, .uid = settings.server.uid};
}

int healthcheck(const CommandLine& line) {
  auto options = line.healthcheck;
  options.server = find_server(line, options.server.socket);
  return run_healthcheck(options);
}

int ctl(const CommandLine& line) {
  auto options = line.ctl;
  options.server = find_server(line, options.server.socket);
  return run_ctl(options);
}

int query(const CommandLine& line) {
  auto options = line.query;
  options.server = find_server(line, "");
  return run_query(options);
}

int ca(const CommandLine& line) {
  auto options = line.ca;
  const auto sources = read_sources(line).value_or(config::Sources{});
  const auto settings = config::load_what_is_good(sources);
  options.uid = settings.server.uid;
  options.gid = settings.server.gid;
  return run_ca(options);
}

int print_version() {
  print(fmt::format("ntp-server {} ({}, {})\n", kVersion, kCompiler, kMachine));
  return EX_OK;
}

int run_command(const CommandLine& line) {
  switch (line.command) {
    case Command::run:
      return serve(line);
    case Command::healthcheck:
      return healthcheck(line);
    case Command::ctl:
      return ctl(line);
    case Command::query:
      return query(line);
    case Command::check:
      return check(line);
    case Command::config_show:
      return show(line);
    case Command::ca:
      return ca(line);
    case Command::version:
      return print_version();
    case Command::help:
      print(line.help);
      return EX_OK;
  }
  return EX_SOFTWARE;
}

// A socket that took a closed descriptor of these would get what is meant for a person. The
// direction is the wrong one: what is written still fails, as it would without.
void fill_standard_streams() {
  int fd = -1;
  do {
    fd = ::open("/dev/null", O_RDONLY);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

}  // namespace

int run_program(std::vector<std::string> arguments) {
  fill_standard_streams();
  const auto line = parse_command_line(std::move(arguments));
  if (!line) {
    const auto& error = line.error();
    complain(fmt::format("ntp-server: {}\nTry '{} --help'.\n", error.message, error.command));
    return error.exit_code;
  }
  const int code = run_command(*line);
  // A full disk or a closed pipe must not look like success.
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  complain(fmt::format("ntp-server: cannot write the output: {}\n",
                       std::generic_category().message(errno)));
  return line->command == Command::healthcheck ? 1 : EX_OSERR;
}

}  // namespace ntp::cli

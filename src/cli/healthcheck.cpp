#include <fmt/format.h>

#include "cli/commands.h"
#include "daemon/health_channel.h"
#include "os/unix_socket.h"

namespace ntp::cli {

// Docker knows 0 and 1 only. The one line on standard output is what `docker inspect` keeps.
int run_healthcheck(const HealthcheckOptions& options) {
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(options.timeout);
  daemon::HealthQuestion question{.timeout = timeout, .max_error_s = {}};
  if (options.max_error) {
    question.max_error_s = std::chrono::duration<double>(*options.max_error).count();
  }
  if (options.socket == "off") {
    fmt::print("unhealthy: health.socket is \"off\", so the server cannot be asked\n");
    return 1;
  }
  std::string failure;
  for (const std::string& path : os::health_socket_paths(options.socket)) {
    const auto answer = os::ask_unix(path, daemon::to_line(question), timeout);
    if (answer) {
      fmt::print("{}\n", *answer);
      return answer->starts_with("healthy") ? 0 : 1;
    }
    const bool absent = answer.error().code == ENOENT || answer.error().code == ENOTDIR;
    if (failure.empty() || !absent) failure = answer.error().text();
  }
  fmt::print("unhealthy: no ntp-server answers here: {}\n", failure);
  return 1;
}

}  // namespace ntp::cli

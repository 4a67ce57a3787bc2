#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/local_server.h"
#include "daemon/health_channel.h"

namespace ntp::cli {

// Docker knows 0 and 1 only. The one line on standard output is what `docker inspect` keeps.
int run_healthcheck(const HealthcheckOptions& options) {
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(options.timeout);
  daemon::HealthQuestion question{.timeout = timeout, .max_error_s = {}};
  if (options.max_error) {
    question.max_error_s = std::chrono::duration<double>(*options.max_error).count();
  }
  const auto answer = ask_local_server(options.server, daemon::to_line(question), timeout);
  fmt::print("{}\n", answer ? *answer : "unhealthy: " + answer.error());
  return answer && answer->starts_with("healthy") ? 0 : 1;
}

}  // namespace ntp::cli

// Stands in for the commands whose modules are not linked in.
#include <cstdio>

#include "cli/commands.h"

namespace ntp::cli {
namespace {

constexpr int kInternal = 70;

int not_built(const char* command) {
  std::fprintf(stderr, "ntp-server: %s is not built into this program\n", command);
  return kInternal;
}

}  // namespace

int run_server(config::Settings, const Reload&) { return not_built("run"); }
int run_healthcheck(const HealthcheckOptions&) {
  not_built("healthcheck");
  return 1;
}
int run_query(const QueryOptions&) { return not_built("query"); }

}  // namespace ntp::cli

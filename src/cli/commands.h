// The commands that do more than read the configuration. The command line ends here: each takes
// checked values and returns the exit code.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cli/ctl_text.h"
#include "cli/local_server.h"

namespace ntp::cli {

struct HealthcheckOptions {
  std::optional<std::chrono::nanoseconds> max_error{};  // empty: liveness only
  std::chrono::nanoseconds timeout = std::chrono::seconds(2);
  LocalServer server{};
};

struct QueryOptions {
  std::string host{};  // HOST or HOST:PORT, as written; never empty
  int count = 1;
  bool json = false;
  bool nts = false;  // then the port is that of key establishment
  std::string ca{};  // file of roots; empty: those of the system
  std::chrono::nanoseconds timeout = std::chrono::seconds(2);  // for each answer
  LocalServer server{};  // with whose time HOST's is compared, where there is one
};

struct CtlOptions {
  Topic topic = Topic::status;
  bool json = false;
  LocalServer server{};
  std::optional<std::chrono::nanoseconds> max_error{};          // of waitsync
  std::chrono::nanoseconds timeout = std::chrono::seconds(60);  // of waitsync
};

// A certificate authority for a network of one's own, and certificates for its servers.
struct CaOptions {
  bool is_new = true;  // ca init; else ca issue
  std::string directory = ".";
  std::string name = "ntp-server LAN authority";
  std::vector<std::string> hosts{};  // names or addresses; never empty
  std::uint32_t uid = 65532;         // who will have to read the server's key, where we are root
  std::uint32_t gid = 65532;
};

int run_ca(const CaOptions& options);
int run_ctl(const CtlOptions& options);
int run_healthcheck(const HealthcheckOptions& options);  // 0 or 1 only
int run_query(const QueryOptions& options);

}  // namespace ntp::cli

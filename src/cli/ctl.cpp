#include <fmt/format.h>
#include <poll.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/local_server.h"
#include "cli/output.h"
#include "os/clocks.h"

namespace ntp::cli {
namespace {

using nlohmann::json;

constexpr int kNotYet = 1;
constexpr int kUnavailable = 69;  // EX_UNAVAILABLE
constexpr std::chrono::milliseconds kAnswer{2000};
constexpr int kPause_ms = 500;  // between looks of waitsync

void show(const CtlOptions& options, const json& status) {
  if (options.json) {
    print(ctl_json(options.topic, status).dump(2) + '\n');
  } else {
    print(ctl_text(options.topic, status));
  }
}

bool is_synchronised(const json& status, const CtlOptions& options) {
  const json system = status.value("system", json::object());
  const json bound = system.value("error_bound_s", json());
  if (!bound.is_number()) return false;  // it is there only while synchronised
  const auto limit = options.max_error;
  return !limit || bound.get<double>() <= std::chrono::duration<double>(*limit).count();
}

int wait_for_synchronisation(const CtlOptions& options) {
  const RawTime deadline = os::raw_now() + options.timeout;
  while (true) {
    const auto status = ask_status(options.server, kAnswer);
    const bool is_late = os::raw_now() >= deadline;
    const bool is_good = status && is_synchronised(*status, options);
    if (is_good || (is_late && status)) {
      show(options, *status);
      return is_good ? 0 : kNotYet;
    }
    if (is_late) {
      complain(fmt::format("ntp-server: {}\n", status.error()));
      return kNotYet;
    }
    ::poll(nullptr, 0, kPause_ms);
  }
}

}  // namespace

int run_ctl(const CtlOptions& options) {
  if (options.topic == Topic::waitsync) return wait_for_synchronisation(options);
  const auto status = ask_status(options.server, kAnswer);
  if (!status) {
    complain(fmt::format("ntp-server: {}\n", status.error()));
    return kUnavailable;
  }
  show(options, *status);
  return 0;
}

}  // namespace ntp::cli

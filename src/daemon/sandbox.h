// What the server shuts itself into once it has started: files, ports, memory, system calls.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "config/settings.h"
#include "control/report.h"
#include "daemon/log.h"
#include "daemon/workers.h"
#include "os/confinement.h"

namespace ntp::daemon {

// Used by the service thread only.
class Sandbox {
 public:
  // After privilege is given up and before any thread is started; once. `config_file` is where a
  // reload will look. The log says what is in force and what the kernel lacks; with
  // server.sandbox = "required" a lack is a StartFailure.
  std::expected<void, StartFailure> enter(const config::Settings& settings,
                                          const std::string& config_file, Log& log);

  // Why a reload cannot have these settings: the path that is out of reach by now. Empty: it can.
  std::string out_of_reach(const config::Settings& settings) const;

  void tell_refusals(Log& log);  // what is new, one line for a call and role
  control::SandboxView view() const noexcept;

 private:
  os::Reach reach_{};
  os::Confinement in_force_{};
  std::uint64_t told_refusals_ = 0;
  bool told_unconfined_ = false;
};

}  // namespace ntp::daemon

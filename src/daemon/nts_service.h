// What NTS takes of the main process: the keys of cookies, and the process of key establishment
// that makes the first ones.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"
#include "control/report.h"
#include "daemon/cookie_keys.h"
#include "daemon/ke_link.h"
#include "daemon/log.h"
#include "daemon/served.h"
#include "daemon/workers.h"
#include "os/poll_loop.h"
#include "os/random.h"

namespace ntp::daemon {

// Service thread only. Without nts.certificate it does nothing at all.
class NtsService {
 public:
  NtsService(const config::Settings& settings, os::PollLoop& loop, const Served& served,
             Workers& workers, Log& log);

  // In this order: while the privileges are there; once they are given up, and before there is a
  // thread or a sandbox; once the loop runs.
  std::expected<void, StartFailure> bind(const config::Settings& settings, std::uint32_t uid);
  std::expected<void, StartFailure> start() { return ke_.start(); }
  void run();

  void look_again();  // at the files: they may be others (SIGHUP)
  void fill(control::Report& report) const;
  os::Reach reach() const { return ke_.reach(); }  // of the process of key establishment
  std::vector<Endpoint> listening() const { return ke_.listening(); }

  void begin_stop() { ke_.begin_stop(); }
  void finish_stop();

 private:
  void look();

  os::PollLoop& loop_;
  const Served& served_;
  Workers& workers_;
  os::KernelRandom random_;
  CookieKeyKeeper keys_;
  KeLink ke_;
};

}  // namespace ntp::daemon

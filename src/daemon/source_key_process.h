// The process that establishes keys with sources of NTS, as the main process has it: started with
// the server, told to end with it. Who talks to it is the keeper of the sources.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "daemon/time_settings.h"
#include "daemon/workers.h"
#include "ke/process.h"
#include "os/landlock.h"

namespace ntp::daemon {

// Service thread only. Without a source that has `nts` it does nothing at all.
class SourceKeyProcess {
 public:
  // Once the privileges are given up and before any thread is started.
  std::expected<void, StartFailure> start(const config::Settings& settings);

  // For the keeper of the sources; it stays open until stop().
  KeyChannel channel() const;
  // Why a reload cannot have these settings; empty: it can.
  std::string why_not(const config::Settings& settings) const;

  os::Reach reach() const;  // of the process

  void stop();  // waits a little

 private:
  ke::ClientPlan plan_;
  std::vector<std::string> marks_;
  ke::Child child_;
  std::shared_ptr<control::KeProcess> told_;
};

}  // namespace ntp::daemon

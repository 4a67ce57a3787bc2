// The main process's side of key establishment: binds its sockets, starts its process, passes it
// the key that cookies are sealed with, and knows what it tells.
#pragma once

#include <expected>
#include <optional>
#include <vector>

#include "config/settings.h"
#include "control/ke_view.h"
#include "control/log_format.h"
#include "daemon/log.h"
#include "daemon/workers.h"
#include "ke/process.h"
#include "os/landlock.h"
#include "os/poll_loop.h"

namespace ntp::daemon {

// Service thread only. Without nts.certificate it does nothing at all.
class KeLink {
 public:
  KeLink(os::PollLoop& loop, Log& log) : loop_(loop), log_(log) {}
  ~KeLink();
  KeLink(const KeLink&) = delete;
  KeLink& operator=(const KeLink&) = delete;

  // In this order: while the privileges are there; once they are given up and before any thread is
  // started; once the loop runs.
  std::expected<void, StartFailure> bind(const config::Settings& settings, std::uint32_t uid);
  std::expected<void, StartFailure> start();
  void watch();

  // From now on; also for a process that is started anew.
  void use(const ke::SealingKey& key);
  void deliver();     // once a second: what could not be sent before
  void look_again();  // at the files

  bool enabled() const noexcept { return !plan_.certificate.empty(); }
  os::Reach reach() const;  // of its process
  control::KeView view() const;
  std::vector<Endpoint> listening() const;  // as bound

  void begin_stop();   // who has connected is still served
  void finish_stop();  // waits, for at most a little longer than ke::kGrace

 private:
  void collect();
  void take(const ke::Message& message);
  void take(const ke::Told& told);
  void lose();
  bool send(const ke::Message& message);
  void look_at_expiry();

  os::PollLoop& loop_;
  Log& log_;
  std::vector<os::Fd> listeners_;
  ke::Plan plan_;
  ke::Child child_;
  os::PollLoop::Id watch_{};
  std::optional<ke::SealingKey> key_;
  control::KeView view_;
  control::KeCounters before_;  // of the processes that have ended
  control::LogLimiter lines_;
  bool is_told_ = false;  // the process, the key
  std::string validity_;  // what has been said of the certificate's time
};

}  // namespace ntp::daemon

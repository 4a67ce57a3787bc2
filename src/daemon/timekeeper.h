// What keeps the served state true: today by asking the kernel once a second.
#pragma once

#include <optional>
#include <thread>

#include "clock/host_clock.h"
#include "daemon/log.h"
#include "daemon/served.h"
#include "os/poll_loop.h"

namespace ntp::daemon {

// Owns the HostClock. set_policy(), view() and steps() may be called by the service at any time;
// all else happens in the loop that runs it: a thread's own, or the single thread's.
class Timekeeper {
 public:
  Timekeeper(Served& served, Log& log, const clock::HostPolicy& policy, int precision);
  ~Timekeeper() { stop(); }

  void run_in(os::PollLoop& loop);  // the single thread's, which must outlive this
  void start();                     // a thread of its own
  void stop();

  void set_policy(const clock::HostPolicy& policy);  // takes effect at once
  clock::HostView view() const { return view_.read(); }
  std::uint64_t steps() const noexcept { return steps_.load(std::memory_order_relaxed); }

 private:
  void run() noexcept;
  void tick();  // one reading, published
  void report(const clock::HostView& now, const server::ServerState& state);

  Served& served_;
  Log& log_;
  Published<clock::HostPolicy> policy_;
  Published<clock::HostView> view_{clock::HostView{}};
  std::atomic<std::uint64_t> steps_{0};
  clock::HostClock clock_;
  std::optional<clock::HostStanding> told_;  // what the log said last
  clock::Unsynchronised told_unsynchronised_{};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};
  std::atomic<bool> hurry_{false};
  std::thread thread_;
};

}  // namespace ntp::daemon

// The thread that keeps the served state true: today by asking the kernel once a second.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "clock/host_clock.h"
#include "daemon/log.h"
#include "daemon/served.h"

namespace ntp::daemon {

// Owns the HostClock. set_policy() and view() may be called by the service at any time.
class Timekeeper {
 public:
  static constexpr std::chrono::seconds kPeriod{1};

  Timekeeper(Served& served, Log& log, const clock::HostPolicy& policy, int precision);
  ~Timekeeper() { stop(); }

  void start();
  void stop();

  // One reading, published. The thread's work, or the single thread's.
  void tick();

  void set_policy(const clock::HostPolicy& policy);  // takes effect at once
  clock::HostView view() const { return view_.read(); }
  std::uint64_t steps() const noexcept { return steps_.load(std::memory_order_relaxed); }

 private:
  void run();
  void report(const clock::HostView& now, const server::ServerState& state);

  Served& served_;
  Log& log_;
  Published<clock::HostPolicy> policy_;
  Published<clock::HostView> view_{clock::HostView{}};
  std::atomic<std::uint64_t> steps_{0};
  clock::HostClock clock_;
  std::optional<clock::HostStanding> told_;  // what the log said last
  clock::Unsynchronised told_unsynchronised_{};
  std::mutex mutex_;  // of the two below
  std::condition_variable wake_;
  bool stopping_ = false;
  bool hurry_ = false;
  std::thread thread_;
};

}  // namespace ntp::daemon

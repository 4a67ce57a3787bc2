// What keeps the served state true: the kernel's opinion of its clock, or sources of our own.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "clock/host_clock.h"
#include "control/source_view.h"
#include "daemon/clock_steerer.h"
#include "daemon/log.h"
#include "daemon/served.h"
#include "daemon/source_keeper.h"
#include "daemon/time_settings.h"
#include "os/poll_loop.h"

namespace ntp::daemon {

// Owns the HostClock and the SourceKeeper. configure(), view(), sources() and steps() may be called
// by the service at any time; all else happens in the loop that runs it: a thread's own, or the
// single thread's.
class Timekeeper {
 public:
  Timekeeper(Served& served, Log& log, TimeSettings settings, int precision);
  ~Timekeeper() { stop(); }

  void run_in(os::PollLoop& loop);  // the single thread's, which must outlive this
  void start();                     // a thread of its own; waits a while until it has begun
  void stop();

  void configure(TimeSettings settings);  // takes effect at once
  clock::HostView view() const { return view_.read(); }
  std::uint64_t steps() const noexcept { return steps_.load(std::memory_order_relaxed); }
  // As of the last second; null without sources.
  std::shared_ptr<const control::SourceView> sources() const;

 private:
  void begin(os::PollLoop& loop);
  void run() noexcept;
  void apply_settings();
  void tick();  // one reading of the kernel, published
  void steer();
  void leave_the_host_alone();
  void publish();
  void publish_sources();
  void report_host(const clock::HostView& now, const server::ServerState& state);
  void report_client();

  Served& served_;
  Log& log_;
  int precision_;
  os::PollLoop* loop_ = nullptr;
  TimeSettings in_force_{};
  clock::HostClock clock_;
  server::ServerState host_{};
  std::unique_ptr<SourceKeeper> keeper_;
  std::optional<ClockSteerer> steerer_;

  std::optional<clock::HostStanding> told_;  // what the log said last
  clock::Unsynchronised told_unsynchronised_{};
  std::optional<clock::ClockState> told_state_;
  std::optional<client::AssociationId> told_leader_;

  Published<clock::HostView> view_{clock::HostView{}};
  std::atomic<std::uint64_t> steps_{0};
  mutable std::mutex mutex_;  // of the next two
  std::optional<TimeSettings> asked_;
  std::shared_ptr<const control::SourceView> sources_;
  bool settled_ = true;  // in_force_ has been applied to the end
  std::atomic<bool> begun_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace ntp::daemon

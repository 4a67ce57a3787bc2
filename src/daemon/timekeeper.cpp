#include "daemon/timekeeper.h"

#include <fmt/format.h>
#include <poll.h>

#include "os/clocks.h"
#include "os/machine.h"

namespace ntp::daemon {
namespace {

constexpr std::chrono::seconds kPeriod{1};
constexpr int kPauseBetweenWakes_ms = 1;

std::string_view describe(clock::HostStanding standing) {
  switch (standing) {
    case clock::HostStanding::synchronised:
      return "the host's clock is synchronised";
    case clock::HostStanding::unreadable:
      return "the kernel does not tell the state of its clock";
    case clock::HostStanding::unsynchronised:
      return "the host's clock is not synchronised";
    case clock::HostStanding::suspended:
      return "the machine was suspended and nothing has corrected its clock since";
    case clock::HostStanding::too_uncertain:
      return "the error of the host's clock is over host_clock.max_root_distance";
  }
  return {};
}

}  // namespace

Timekeeper::Timekeeper(Served& served, Log& log, const clock::HostPolicy& policy, int precision)
    : served_(served), log_(log), policy_(policy), clock_(precision) {}

void Timekeeper::run_in(os::PollLoop& loop) {
  tick();  // the first reply already tells the state of the clock
  loop.every(kPeriod, [this](RawTime) { tick(); });
}

void Timekeeper::start() {
  tick();
  thread_ = std::thread([this] { run(); });
}

void Timekeeper::run() noexcept {
  os::block_signals();
  os::PollLoop loop(os::raw_now);
  loop.every(kPeriod, [this](RawTime) { tick(); });
  while (!stopping_) {
    loop.run_once(kPeriod);
    if (hurry_.exchange(false)) tick();
  }
  ended_ = true;
}

void Timekeeper::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  while (!ended_) {
    os::wake_thread(thread_.native_handle());
    ::poll(nullptr, 0, kPauseBetweenWakes_ms);
  }
  thread_.join();
}

// The thread may miss the signal between its look at the flag and poll(2): then a second passes.
void Timekeeper::set_policy(const clock::HostPolicy& policy) {
  policy_.publish(policy);
  hurry_ = true;
  if (thread_.joinable()) os::wake_thread(thread_.native_handle());
}

void Timekeeper::tick() {
  const auto state = clock_.update(os::read_kernel_clock(), policy_.read());
  served_.state.publish(state);
  view_.publish(clock_.view());
  report(clock_.view(), state);
}

void Timekeeper::report(const clock::HostView& now, const server::ServerState& state) {
  if (now.stepped_s) {
    steps_.store(steps() + 1, std::memory_order_relaxed);
    log_.warning(fmt::format("the host's clock was stepped by {:+.6f} s", *now.stepped_s));
  }
  const auto unsynchronised = policy_.read().unsynchronised;
  if (told_ == now.standing && told_unsynchronised_ == unsynchronised) return;
  told_ = now.standing;
  told_unsynchronised_ = unsynchronised;
  const std::string why(describe(now.standing));
  if (state.synchronised) {
    log_.info(why, {{"stratum", fmt::to_string(state.stratum)},
                    {"error_bound", fmt::format("{:.6f}s", now.error_bound_s)}});
    if (now.maxerror_is_meaningless) {
      log_.warning(
          "the host's time daemon resets the kernel's error to 0; "
          "host_clock.error_unknown is added to the bound instead of error_floor");
    }
  } else if (state.leap != wire::Leap::unknown) {
    log_.warning(
        fmt::format("NOT SYNCHRONISED: {}; serving the local clock at stratum {} "
                    "(refid LOCL). Set server.unsynchronised = \"refuse\" to serve no "
                    "time instead, or synchronise the host",
                    why, state.stratum));
  } else {
    log_.warning(fmt::format("NOT SYNCHRONISED: {}; replies say so (leap 3)", why));
  }
}

}  // namespace ntp::daemon

#include "daemon/timekeeper.h"

#include <fmt/format.h>
#include <poll.h>

#include <cmath>

#include "base/memory.h"
#include "os/clocks.h"
#include "os/machine.h"
#include "os/seccomp.h"

namespace ntp::daemon {
namespace {

constexpr std::chrono::seconds kPeriod{1};
constexpr int kPauseBetweenWakes_ms = 1;
constexpr std::chrono::seconds kPatience{2};

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

Timekeeper::Timekeeper(Served& served, Log& log, TimeSettings settings, int precision)
    : served_(served),
      log_(log),
      precision_(precision),
      clock_(precision),
      asked_(std::move(settings)) {}

// The first reply already tells the state of the clock.
void Timekeeper::begin(os::PollLoop& loop) {
  loop_ = &loop;
  loop.every(kPeriod, [this](RawTime) {
    if (!settled_) return apply_settings();
    tick();
  });
  within_memory([this] { apply_settings(); });  // else a second later
}

void Timekeeper::run_in(os::PollLoop& loop) { begin(loop); }

void Timekeeper::start() {
  in_force_.host = asked_->host;
  if (!asked_->client.sources.empty()) {
    in_force_.host.unsynchronised = clock::Unsynchronised::refuse;
  }
  tick();
  thread_ = std::thread([this] { run(); });
  // Who looks from now on is told of the sources; but a disk that does not answer, or want of
  // memory, holds up nobody for longer.
  const RawTime latest = os::raw_now() + kPatience;
  while (!begun_ && os::raw_now() < latest) ::poll(nullptr, 0, kPauseBetweenWakes_ms);
}

void Timekeeper::run() noexcept {
  os::block_signals();
  os::confine_thread(os::ThreadRole::timekeeper);
  {
    os::PollLoop loop(os::raw_now);
    while (!within_memory([&] { begin(loop); })) ::poll(nullptr, 0, kPauseBetweenWakes_ms);
    begun_ = true;
    while (!stopping_) {
      loop.run_once(kPeriod);
      if (settled_) within_memory([this] { apply_settings(); });
    }
    within_memory([this] { leave_the_host_alone(); });
    keeper_.reset();
  }
  ended_ = true;
}

void Timekeeper::stop() {
  if (!thread_.joinable()) {
    within_memory([this] { leave_the_host_alone(); });
    return;
  }
  stopping_ = true;
  while (!ended_) {
    os::wake_thread(thread_.native_handle());
    ::poll(nullptr, 0, kPauseBetweenWakes_ms);
  }
  thread_.join();
}

// The thread may miss the signal between its look at the flag and poll(2): then a second passes.
void Timekeeper::configure(TimeSettings settings) {
  {
    const std::lock_guard lock(mutex_);
    asked_ = std::move(settings);
  }
  if (thread_.joinable()) {
    os::wake_thread(thread_.native_handle());
  } else if (loop_ != nullptr) {
    apply_settings();
  }
}

void Timekeeper::apply_settings() {
  {
    const std::lock_guard lock(mutex_);
    if (!asked_ && settled_) return;
    if (asked_) in_force_ = std::move(*asked_);
    asked_.reset();
  }
  settled_ = false;  // where memory runs out below, all of it is done again
  if (in_force_.client.sources.empty()) {
    keeper_.reset();
    told_state_.reset();
  } else {
    in_force_.host.unsynchronised = clock::Unsynchronised::refuse;  // sources have the last word
    if (!keeper_) {
      keeper_ = std::make_unique<SourceKeeper>(*loop_, log_, precision_, in_force_,
                                               [this] { publish(); });
    }
    keeper_->configure(in_force_);
  }
  settled_ = true;
  tick();
}

std::shared_ptr<const control::SourceView> Timekeeper::sources() const {
  const std::lock_guard lock(mutex_);
  return sources_;
}

void Timekeeper::tick() {
  host_ = clock_.update(os::read_kernel_clock(), in_force_.host);
  view_.publish(clock_.view());
  steer();
  publish();
  publish_sources();
  report_host(clock_.view(), host_);
}

void Timekeeper::steer() {
  if (!keeper_ || !in_force_.steering) return leave_the_host_alone();
  if (!steerer_) steerer_.emplace(log_);
  const client::Client& client = keeper_->client();
  steerer_->tick(clock_.view(), client.decision(), client.leap_table(), *in_force_.steering);
}

void Timekeeper::leave_the_host_alone() {
  if (!steerer_) return;
  steerer_->leave();
  steerer_.reset();
}

// Until the sources have told the time for the first time, a synchronised host does.
void Timekeeper::publish() {
  if (!keeper_) return served_.state.publish(host_);
  const clock::Decision& decision = keeper_->client().decision();
  // Better than LOCL is a clock that somebody else keeps.
  const bool is_local = decision.state == clock::ClockState::local;
  const bool is_hosts = decision.state == clock::ClockState::cold ||
                        (is_local && !decision.was_told && host_.synchronised);
  served_.state.publish(is_hosts ? host_ : decision.server);
  report_client();
}

void Timekeeper::publish_sources() {
  std::shared_ptr<control::SourceView> view;
  if (keeper_) {
    const client::Client& client = keeper_->client();
    const clock::Decision& decision = client.decision();
    const Instant now = os::now();
    view = std::make_shared<control::SourceView>();
    view->state = decision.state;
    view->reason = decision.reason;
    view->leader = decision.leader;
    view->at = now.raw;
    view->frequency = decision.clock.rate;
    view->frequency_sd = std::sqrt(decision.clock.rate_var);
    view->bound_s = decision.bound_s;
    view->sources = client.sources().report();
    view->tracked = client.tracked(now.raw);
    if (steerer_) view->steering = steerer_->view();
    view->key_process = keeper_->key_process();
  }
  const std::lock_guard lock(mutex_);
  sources_ = std::move(view);
}

void Timekeeper::report_client() {
  const clock::Decision& decision = keeper_->client().decision();
  if (told_state_ == decision.state && told_leader_ == decision.leader) return;
  told_state_ = decision.state;
  told_leader_ = decision.leader;
  publish_sources();  // who looks must not be told less than what is served
  const auto name = clock::kClockStateNames[static_cast<std::size_t>(decision.state)];
  if (decision.synchronised) {
    log_.info(fmt::format("{} to the sources: {}", name, decision.reason),
              {{"stratum", fmt::to_string(decision.server.stratum)},
               {"error_bound", fmt::format("{:.6f}s", decision.bound_s)}});
  } else {
    log_.warning(fmt::format("NOT SYNCHRONISED to the sources ({}): {}", name, decision.reason));
  }
}

void Timekeeper::report_host(const clock::HostView& now, const server::ServerState& state) {
  if (now.stepped_s) {
    steps_.store(steps() + 1, std::memory_order_relaxed);
    if (!steerer_ || !steerer_->has_stepped()) {
      log_.warning(fmt::format("the host's clock was stepped by {:+.6f} s", *now.stepped_s));
    }
  }
  const auto unsynchronised = in_force_.host.unsynchronised;
  if (keeper_) return told_.reset();  // report_client() says what counts
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

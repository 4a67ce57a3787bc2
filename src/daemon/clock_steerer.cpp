#include "daemon/clock_steerer.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace ntp::daemon {

using control::SteeringState;
using Kind = clock::Correction::Kind;

void ClockSteerer::tick(const clock::HostView& host, const clock::Decision& decision,
                        const std::optional<clock::LeapTable>& leaps,
                        const clock::SteeringPolicy& policy) {
  own_jump_ = std::exchange(stepped_, false);
  if (!host.reading.available) return;
  // Around a leap second the kernel steps by itself, a little before or after the served clock.
  const bool was_resting = std::exchange(resting_, decision.hold_samples);
  if (resting_) {
    if (in_hand_ && !was_resting) apply({.rate = rate_});
    return;
  }
  if (in_hand_) notice_others(host);
  if (decision.synchronised) {
    correct(host.reading, decision, leaps, policy);
  } else {
    let_go();
  }
}

void ClockSteerer::notice_others(const clock::HostView& host) {
  const bool is_stepped = host.stepped_s && !own_jump_;
  if (!is_stepped && !steering_.is_disturbed(host.reading.rate)) return;
  ++view_.disturbances;
  if (std::exchange(told_others_, true)) return;
  log_.warning(
      fmt::format("another program {} the host's clock, which clock.steer leads: stop it, "
                  "or set clock.steer = \"none\"",
                  is_stepped ? "has stepped" : "changes the frequency of"));
}

void ClockSteerer::correct(const clock::KernelReading& reading, const clock::Decision& decision,
                           const std::optional<clock::LeapTable>& leaps,
                           const clock::SteeringPolicy& policy) {
  const RealTime served = decision.served(reading.raw);
  view_.error_s = seconds(reading.real - served);
  rate_ = decision.served.map.rate;
  const double sd_s = std::sqrt(decision.clock.offset_var);
  const auto correction = steering_.correct(view_.error_s, sd_s, rate_, policy);
  const double left_s = std::abs(correction.kind == Kind::step ? 0.0 : view_.error_s);
  status_ = {.synchronised = correction.kind != Kind::refuse,
             .maxerror_s = decision.bound_s + left_s,
             .esterror_s = sd_s + left_s,
             .leap = correction.kind != Kind::refuse && decision.leap ? decision.leap->kind
                                                                      : wire::Leap::none,
             .tai_offset_s = leaps ? clock::tai_offset_s(*leaps, served).value_or(0) : 0};
  if (status_.tai_offset_s == reading.tai_offset_s) status_.tai_offset_s = 0;  // as it is
  if (correction.kind == Kind::step) {
    log_.warning(fmt::format("stepping the host's clock by {:+.6f} s", correction.step_s));
  }
  if (!apply(correction)) return turn(SteeringState::failed, policy);
  if (correction.kind == Kind::step) {
    ++view_.steps;
    stepped_ = true;
  }
  if (correction.kind == Kind::refuse) ++view_.refusals;
  turn(correction.kind == Kind::refuse ? SteeringState::refused : SteeringState::steering, policy);
}

void ClockSteerer::let_go() {
  if (!in_hand_) return;
  status_ = {};
  apply({.rate = rate_});
  in_hand_ = false;
  view_.state = SteeringState::waiting;
  log_.warning("the host's clock is no longer led: it keeps its frequency");
}

void ClockSteerer::leave() {
  if (!in_hand_) return;
  status_.tai_offset_s = 0;
  apply({.rate = rate_});
  in_hand_ = false;
}

bool ClockSteerer::apply(const clock::Correction& correction) {
  const auto rate = os::steer_kernel_clock(correction, status_);
  if (!rate) {
    ++view_.failures;
    if (!std::exchange(told_failure_, true)) log_.error(rate.error().text());
    return false;
  }
  told_failure_ = false;
  in_hand_ = true;
  view_.rate = *rate;
  steering_.left_at(*rate);
  return true;
}

void ClockSteerer::turn(SteeringState state, const clock::SteeringPolicy& policy) {
  if (view_.state == state) return;
  view_.state = state;
  if (state == SteeringState::steering) {
    log_.info("leading the host's clock to the sources",
              {{"error", fmt::format("{:+.6f}s", view_.error_s)},
               {"frequency", fmt::format("{:+.3f}ppm", rate_ * 1e6)}});
  } else if (state == SteeringState::refused) {
    log_.error(
        fmt::format("the host's clock is off by {:+.3f} s, more than clock.max_change ({} "
                    "s): it is left alone. Set it by hand, or restart this server",
                    view_.error_s, policy.max_change_s));
  }
}

}  // namespace ntp::daemon

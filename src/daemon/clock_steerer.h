// The actuator `system`: leads the kernel's clock to the served one and says what it is worth.
#pragma once

#include <optional>

#include "clock/discipline.h"
#include "clock/steering.h"
#include "control/source_view.h"
#include "daemon/log.h"
#include "os/kernel_clock.h"

namespace ntp::daemon {

// Lives in the timekeeper's thread, which needs CAP_SYS_TIME.
class ClockSteerer {
 public:
  explicit ClockSteerer(Log& log) : log_(log) {}

  // Once a second, right after the kernel's clock was read. While the sources do not tell the time
  // the clock runs on by itself and is called unsynchronised, if it was steered before.
  void tick(const clock::HostView& host, const clock::Decision& decision,
            const std::optional<clock::LeapTable>& leaps, const clock::SteeringPolicy& policy);
  // The frequency that is right stays, and no share of a slew. Nothing if it was never steered.
  void leave();

  // The jump between the last two readings was ours.
  bool has_stepped() const noexcept { return own_jump_; }
  const control::SteeringView& view() const noexcept { return view_; }

 private:
  void notice_others(const clock::HostView& host);
  void correct(const clock::KernelReading& reading, const clock::Decision& decision,
               const std::optional<clock::LeapTable>& leaps, const clock::SteeringPolicy& policy);
  void let_go();
  bool apply(const clock::Correction& correction);  // false: the kernel refused
  void turn(control::SteeringState state, const clock::SteeringPolicy& policy);

  Log& log_;
  clock::Steering steering_{};
  control::SteeringView view_{};
  os::KernelStatus status_{};  // that the kernel was told last
  double rate_ = 0;            // of the served clock
  bool in_hand_ = false;       // the kernel has a status and a rate of ours
  bool resting_ = false;
  bool stepped_ = false;
  bool own_jump_ = false;
  bool told_others_ = false;
  bool told_failure_ = false;
};

}  // namespace ntp::daemon

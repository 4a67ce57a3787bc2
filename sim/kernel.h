// CLOCK_REALTIME as adjtimex(2) lets it be led, and who leads it: daemon::ClockSteerer's decisions,
// with the production's clock::Steering, in virtual time. The kernel's own leap seconds are not
// here.
#pragma once

#include <chrono>

#include "base/time.h"
#include "clock/discipline.h"
#include "clock/steering.h"

namespace ntp::sim {

class Kernel {
 public:
  // What the clock has been led to gain on one that nobody leads.
  std::chrono::nanoseconds led(RawTime now) const noexcept;

  // Once a second; now.host is this clock.
  void lead(const clock::Moment& now, const clock::Decision& decision,
            const clock::SteeringPolicy& policy) noexcept;

  // What adjtimex tells everybody else.
  bool synchronised() const noexcept { return synchronised_; }
  double maxerror_s(RawTime now) const noexcept;

 private:
  void apply(const clock::Correction& correction, RawTime now) noexcept;

  clock::Steering steering_{};
  RawTime set_at_{};
  std::chrono::nanoseconds led_{};  // at that time …
  double rate_ = 0;                 // … and from then on, s/s
  double served_rate_ = 0;
  double maxerror_s_ = 0;
  bool synchronised_ = false;
  bool in_hand_ = false;
  bool resting_ = false;
};

}  // namespace ntp::sim

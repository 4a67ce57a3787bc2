// How the kernel's clock is led to the served one, when we are asked to and allowed to. Pure: it
// only says what to ask of adjtimex(2).
#pragma once

#include <cstdint>
#include <optional>

namespace ntp::clock {

struct SteeringPolicy {
  // A larger error is stepped away within the first `step_updates` corrections (negative: always),
  // later slewed.
  double step_threshold_s = 0.5;
  int step_updates = 3;
  // A larger error is not believed any more once the clock was right: nothing is done (0: no
  // limit).
  double max_change_s = 1000;
  double max_slew = 1e-3;  // seconds per second, on top of the frequency
};

struct Correction {
  enum class Kind : std::uint8_t {
    slew,    // set the frequency
    step,    // step by `step_s`, and set the frequency
    refuse,  // the error is over max_change_s
  };
  Kind kind = Kind::slew;
  double step_s = 0;
  double rate = 0;  // of the kernel's clock against the raw one, seconds per second
};

// Call it once a second. Each correction works off a fixed share of the error, so that it never
// overshoots, and whatever another program does to the clock shows up as error the next time.
class Steering {
 public:
  // `error_s`: kernel minus served. `rate`: what the served clock gains on the raw one.
  Correction correct(double error_s, double rate, const SteeringPolicy& policy) noexcept;

 private:
  int updates_ = 0;
};

}  // namespace ntp::clock

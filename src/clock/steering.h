// How the kernel's clock is led to the served one, when we are asked to and allowed to. Pure: it
// only says what to ask of adjtimex(2).
#pragma once

#include <cstdint>
#include <optional>

namespace ntp::clock {

enum class Actuator : std::uint8_t {
  none,    // serve the estimate, touch nothing
  system,  // lead the kernel's clock to it
};

struct SteeringPolicy {
  // A larger error is stepped away within the first `step_updates` corrections (negative: always),
  // later slewed.
  double step_threshold_s = 0.5;
  int step_updates = 3;
  // A larger error than this is refused after the first `step_updates` corrections (negative: after
  // the first): the clock is left alone until somebody sets it (0: no limit).
  double max_change_s = 1000;
  double max_slew = 1e-3;  // seconds per second, on top of the frequency
};

struct Correction {
  enum class Kind : std::uint8_t {
    slew,    // set the frequency
    step,    // step by `step_s`, and set the frequency
    refuse,  // the error is over max_change_s: only set the frequency
  };
  Kind kind = Kind::slew;
  double step_s = 0;
  double rate = 0;  // of the kernel's clock against the raw one, seconds per second

  friend bool operator==(const Correction&, const Correction&) = default;
};

// Call it once a second. Each correction works off a share of the error, so that it never
// overshoots, and whatever another program does to the clock shows up as error the next time.
class Steering {
 public:
  // `error_s`: kernel minus served. `served_sd_s`: one sigma of the served clock; what may be its
  // noise is worked off slowly, for the sake of the kernel's frequency. `rate`: what the served
  // clock gains on the raw one.
  Correction correct(double error_s, double served_sd_s, double rate,
                     const SteeringPolicy& policy) noexcept;

  // The rate that the kernel was left with, and the one it is found with before the next
  // correction: somebody else steers, too, when they differ.
  void left_at(double rate) noexcept { left_at_ = rate; }
  bool is_disturbed(double found_rate) const noexcept;

 private:
  int updates_ = 0;
  std::optional<double> left_at_{};
};

}  // namespace ntp::clock

// A machine's raw clock against true time.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/random.h"
#include "sim/span.h"

namespace ntp::sim {

// Of a clock: at once, for good.
struct Step {
  double at_s = 0;
  double offset_s = 0;
  double frequency = 0;
};

// Temperature, usually: amplitude * sin(2 pi t / period + phase), in seconds per second.
struct Sine {
  double amplitude = 0;
  double period_s = 86'400;
  double phase = 0;
};

struct OscillatorModel {
  double offset_s = 0;
  double frequency = 0;
  double wander = 0;  // standard deviation of the frequency's step each second
  std::vector<Sine> sines{};
  std::vector<Step> steps{};
  std::vector<Span> sleeps{};  // stands still; in whole seconds
};

// Advances in whole seconds of true time; the frequency is constant within one.
class Oscillator {
 public:
  Oscillator(OscillatorModel model, std::uint64_t seed);

  void tick();
  double offset_s() const noexcept { return offset_s_; }  // clock - true time
  double frequency() const noexcept;                      // of the second that begins now
  double now_s() const noexcept { return now_s_; }
  double slept_s() const noexcept { return slept_s_; }

 private:
  OscillatorModel model_;
  Random random_;
  double now_s_ = 0;
  double offset_s_ = 0;
  double walk_ = 0;
  double slept_s_ = 0;
};

// The offset at second 0, 1, 2 ... `length_s`, for simulations that look at any time of a run.
std::vector<double> record(Oscillator oscillator, int length_s);

}  // namespace ntp::sim

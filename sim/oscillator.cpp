#include "sim/oscillator.h"

#include <cmath>
#include <numbers>
#include <utility>

namespace ntp::sim {

Oscillator::Oscillator(OscillatorModel model, std::uint64_t seed)
    : model_(std::move(model)),
      random_(seed, 1),
      offset_s_(model_.offset_s),
      walk_(model_.frequency) {}

double Oscillator::frequency() const noexcept {
  if (within(model_.sleeps, now_s_)) return -1;
  double sum = walk_;
  for (const auto& sine : model_.sines) {
    sum += sine.amplitude * std::sin(2 * std::numbers::pi * now_s_ / sine.period_s + sine.phase);
  }
  return sum;
}

void Oscillator::tick() {
  offset_s_ += frequency();
  if (within(model_.sleeps, now_s_)) slept_s_ += 1;
  now_s_ += 1;
  for (const Step& step : model_.steps) {
    if (step.at_s <= now_s_ - 1 || step.at_s > now_s_) continue;
    offset_s_ += step.offset_s;
    walk_ += step.frequency;
  }
  walk_ += model_.wander * random_.normal();
}

std::vector<double> record(Oscillator oscillator, int length_s) {
  std::vector<double> offsets{oscillator.offset_s()};
  offsets.reserve(static_cast<std::size_t>(length_s) + 1);
  for (int i = 0; i < length_s; ++i) {
    oscillator.tick();
    offsets.push_back(oscillator.offset_s());
  }
  return offsets;
}

}  // namespace ntp::sim

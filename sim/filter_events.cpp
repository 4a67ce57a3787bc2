// What the filter does at the start, after a step of its source, and when samples stop.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "clock/clock_filter.h"
#include "sim/run.h"
#include "sim/scenarios.h"

namespace ntp::sim {
namespace {

constexpr int kSeeds = 20;

PathModel jittery(double minimum_s, double mean_s) {
  return {.minimum_s = minimum_s, .jitters = {{Shape::exponential, mean_s}}};
}
const LinkModel kLan{jittery(90e-6, 10e-6), jittery(90e-6, 10e-6)};
const LinkModel kWan{jittery(9e-3, 1e-3), jittery(9e-3, 1e-3)};

struct Spread {
  std::vector<double> values{};
  double at(double fraction) {
    std::ranges::sort(values);
    const auto place = static_cast<std::size_t>(fraction * static_cast<double>(values.size()));
    return values[std::min(place, values.size() - 1)];
  }
};

// Seconds until the error stays below the limit (within the first 15 minutes).
void cold_start(const char* name, const LinkModel& link, double limit_s, double poll_s) {
  for (const double offset_s : {0.1, 1000.0}) {
    for (const double rate : {500e-6, -500e-6}) {
      Spread spread;
      for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const OscillatorModel clock{.offset_s = offset_s, .frequency = rate, .wander = 1e-9};
        const Run run = simulate(clock, link, {.interval_s = poll_s}, 900, seed);
        const Result r = follow(run, {.from_s = 0, .settle_at_s = limit_s});
        spread.values.push_back(r.settled_s);
      }
      fmt::print(
          "cold start {} poll {:>3} s, {:>6.1f} s and {:>4.0f} ppm off: median {:>3.0f} s, worst "
          "{:>3.0f} s\n",
          name, poll_s, offset_s, rate * 1e6, spread.at(0.5), spread.at(1));
    }
  }
}

// Seconds from the step until the error stays below the limit.
void step(const char* name, const LinkModel& link, double limit_s, double poll_s, double step_s) {
  constexpr int kAt = 20'010;
  Spread spread;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const OscillatorModel clock{.offset_s = 1e-3, .frequency = 1e-5, .wander = 1e-9};
    Run run = simulate(clock, link, {.interval_s = poll_s}, kAt + 4000, seed);
    run.source_steps.push_back({.at_s = kAt, .offset_s = step_s});
    const Result r = follow(run, {.settle_at_s = limit_s});
    spread.values.push_back(r.settled_s - kAt);
  }
  fmt::print("step of {:>6.3f} s, {} poll {:>3} s: median {:>4.0f} s, worst {:>4.0f} s\n", step_s,
             name, poll_s, spread.at(0.5), spread.at(1));
}

// Samples for a day, then none: error against the bound that is served meanwhile.
void holdover(const char* name, const LinkModel& link, double wander, double poll_s) {
  constexpr int kCut = 86'400;
  constexpr int kEnd = kCut + 12 * 3600;
  std::uint64_t covered = 0;
  std::uint64_t total = 0;
  Spread after_hour;
  Spread after_twelve;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const OscillatorModel clock{.offset_s = 1e-3, .frequency = 1e-5, .wander = wander};
    Run run = simulate(clock, link, {.interval_s = poll_s}, kEnd + 10, seed);
    std::erase_if(run.exchanges, [](const Exchange& x) { return x.sent_s > kCut; });
    const Result r = follow(run, {.from_s = kCut});
    const auto seconds = static_cast<std::uint64_t>(kEnd + 10 - kCut);
    covered += static_cast<std::uint64_t>(std::llround(r.coverage * static_cast<double>(seconds)));
    total += seconds;
    after_hour.values.push_back(
        follow(run, {.from_s = kCut + 3600, .to_s = kCut + 3601}).bound_median_s);
    after_twelve.values.push_back(follow(run, {.from_s = kEnd, .to_s = kEnd + 1}).bound_median_s);
  }
  fmt::print(
      "holdover {} poll {:>3} s, wander {:.0e}: coverage over 12 h {:.5f}; bound after 1 h {:.3f} "
      "ms, after 12 h {:.2f} ms (medians)\n",
      name, poll_s, wander, static_cast<double>(covered) / static_cast<double>(total),
      after_hour.at(0.5) * 1e3, after_twelve.at(0.5) * 1e3);
}

void run_all() {
  cold_start("LAN < 50 us", kLan, 50e-6, 64);
  cold_start("WAN < 1 ms", kWan, 1e-3, 64);
  cold_start("WAN < 1 ms", kWan, 1e-3, 16);
  for (const double poll_s : {64.0, 16.0}) {
    for (const double size_s : {0.05, 0.1, 0.3, 1.0, -0.1})
      step("LAN < 50 us", kLan, 50e-6, poll_s, size_s);
    for (const double size_s : {0.05, 0.1, 0.3, 1.0, -0.1})
      step("WAN < 1 ms", kWan, 1e-3, poll_s, size_s);
  }
  for (const double wander : {1e-10, 1e-9, 1e-8, 1e-7}) {
    holdover("LAN", kLan, wander, 64);
    holdover("WAN", kWan, wander, 64);
  }
}

}  // namespace
}  // namespace ntp::sim

int main() {
  ntp::sim::run_all();
  return 0;
}

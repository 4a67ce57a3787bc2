#include "sim/scenarios.h"

#include <utility>

namespace ntp::sim {
namespace {

OscillatorModel wandering(double wander) {
  return {.offset_s = 1e-3, .frequency = 1e-5, .wander = wander};
}

OscillatorModel heated(double wander, double amplitude, double period_s) {
  OscillatorModel model = wandering(wander);
  model.sines.push_back({.amplitude = amplitude, .period_s = period_s});
  return model;
}

PathModel path(double minimum_s, std::vector<Jitter> jitters) {
  return {.minimum_s = minimum_s, .jitters = std::move(jitters)};
}

PathModel exponential(double minimum_s, double mean_s) {
  return path(minimum_s, {{Shape::exponential, mean_s}});
}

LinkModel both(const PathModel& one) { return {.up = one, .down = one}; }

PathModel lossy(PathModel model, double loss) {
  model.loss = loss;
  return model;
}

PathModel queued(PathModel model, const Queue& queue) {
  model.queues.push_back(queue);
  return model;
}

PathModel rerouted(PathModel model, double added_s) {
  for (int i = 0; i < 10; ++i) {
    model.routes.push_back({.from_s = i * 20'000.0, .added_s = i % 2 == 0 ? added_s : 0});
  }
  return model;
}

std::vector<Scenario> tuned() {
  const auto lan = both(exponential(90e-6, 10e-6));
  const auto wan = both(exponential(9e-3, 1e-3));
  const auto spikes = path(9e-3, {{Shape::exponential, 1e-4}, {Shape::exponential, 1e-2, 0.1}});
  return {
      {"a", "LAN", wandering(1e-9), lan},
      {"b", "LAN, busy clock", wandering(1e-8), lan},
      {"c1", "WAN", wandering(1e-9), wan},
      {"c2", "WAN, busy clock", wandering(1e-8), wan},
      {"c3", "WAN with spikes", wandering(1e-9), both(spikes)},
      {"d", "100 ms of jitter", wandering(1e-9), both(exponential(1e-2, 1e-1))},
      {"e",
       "asymmetric jitter",
       wandering(1e-9),
       {exponential(1e-4, 30e-6), exponential(1e-4, 970e-6)}},
      {"e2",
       "asymmetric WAN",
       wandering(1e-9),
       {exponential(9e-3, 0.2e-3), exponential(9e-3, 2e-3)}},
      {"f", "WAN, 30 % lost each way", wandering(1e-9), both(lossy(exponential(9e-3, 1e-3), 0.3))},
  };
}

std::vector<Scenario> noises() {
  const auto calm = exponential(9e-3, 0.5e-3);
  const Queue standing{.level_s = 20e-3, .jitter = {Shape::exponential, 10e-3}};
  const Queue busy{.level_s = 0, .jitter = {Shape::exponential, 20e-3}};
  const Queue evening{.period_s = 86'400,
                      .from_s = 21'600,
                      .length_s = 43'200,
                      .rises_and_falls = true,
                      .level_s = 3e-3,
                      .jitter = {Shape::exponential, 6e-3}};
  return {
      {"gauss", "Gaussian jitter, WAN", wandering(1e-9),
       both(path(20e-3, {{Shape::gaussian, 1e-3}}))},
      {"gauss-lan", "Gaussian jitter, LAN", wandering(1e-9),
       both(path(200e-6, {{Shape::gaussian, 10e-6}}))},
      {"uniform", "uniform jitter", wandering(1e-9), both(path(9e-3, {{Shape::uniform, 4e-3}}))},
      {"wifi", "Wi-Fi-like tails", wandering(3e-9), both(path(1.5e-3, {{Shape::product, 0.5e-3}}))},
      {"route", "3 ms more each way and back, every 20,000 s", wandering(1e-9),
       both(rerouted(calm, 3e-3))},
      {"queue",
       "up: 20 ms stand for 30 minutes of 2 hours",
       wandering(1e-9),
       {queued(calm, standing), calm}},
      {"busy",
       "up: 20 ms of jitter for 30 minutes of 2 hours",
       wandering(1e-9),
       {queued(calm, busy), calm}},
      {"congest", "down: congested by day", wandering(1e-9), {calm, queued(calm, evening)}},
      {"loss10", "LAN, 10 % lost each way", wandering(1e-9),
       both(lossy(exponential(90e-6, 10e-6), 0.1))},
      {"loss50", "WAN, half lost each way", wandering(1e-9),
       both(lossy(exponential(9e-3, 1e-3), 0.5))},
      {"coarse", "1 us of jitter, stamps blurred by 1 us", wandering(1e-9),
       both(path(1e-5, {{Shape::exponential, 1e-6}, {Shape::uniform, 1e-6}}))},
  };
}

std::vector<Scenario> clocks() {
  const auto lan = both(exponential(90e-6, 10e-6));
  const auto wan = both(exponential(9e-3, 1e-3));
  return {
      {"daily", "1 ppm by the hour of the day", heated(1e-9, 1e-6, 86'400), wan},
      {"hourly", "0.1 ppm each hour, LAN", heated(1e-9, 1e-7, 3600), lan},
      {"hourly-wan", "0.1 ppm each hour, WAN", heated(1e-9, 1e-7, 3600), wan},
      {"quiet", "wander 1e-10, WAN", wandering(1e-10), wan},
      {"quiet-lan", "wander 1e-10, LAN", wandering(1e-10), lan},
      {"wild", "wander 1e-7, WAN", wandering(1e-7), wan},
      {"wild-lan", "wander 1e-7, LAN", wandering(1e-7), lan},
  };
}

}  // namespace

std::span<const Scenario> scenarios() {
  static const std::vector<Scenario> all = [] {
    std::vector<Scenario> list = tuned();
    for (auto& scenario : noises()) list.push_back(std::move(scenario));
    for (auto& scenario : clocks()) list.push_back(std::move(scenario));
    return list;
  }();
  return all;
}

}  // namespace ntp::sim

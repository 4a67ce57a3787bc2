#include "sim/link.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ntp::sim {
namespace {

// 0 outside of the queue's time, 1 (or the triangle's height) inside.
double presence(const Queue& queue, double at_s) {
  const double since = std::fmod(at_s, queue.period_s) - queue.from_s;
  if (since < 0 || since >= queue.length_s) return 0;
  if (!queue.rises_and_falls) return 1;
  return 1 - std::fabs(2 * since / queue.length_s - 1);
}

}  // namespace

Path::Path(PathModel model, std::uint64_t seed, std::uint64_t stream)
    : model_(std::move(model)), random_(seed, stream) {}

double Path::draw(const Jitter& jitter) {
  if (jitter.probability < 1 && !random_.chance(jitter.probability)) return 0;
  switch (jitter.shape) {
    case Shape::exponential:
      return jitter.scale_s * random_.exponential();
    case Shape::gaussian:
      return jitter.scale_s * random_.normal();
    case Shape::uniform:
      return jitter.scale_s * random_.uniform();
    case Shape::product:
      return jitter.scale_s * random_.exponential() * random_.exponential() * random_.exponential();
  }
  return 0;
}

double Path::draw_travel() {
  if (!model_.recorded.empty()) return model_.recorded[next_++ % model_.recorded.size()];
  double sum = model_.minimum_s;
  for (const auto& jitter : model_.jitters) sum += draw(jitter);
  return sum;
}

std::vector<double> Path::deliveries(double at_s) {
  const bool lost = loses() || within(model_.cuts, at_s);
  const bool twice = random_.chance(model_.duplicates);
  std::vector<double> delays;
  for (int copy = 0; copy < (twice ? 2 : 1); ++copy) {
    delays.push_back(delay(at_s) + (random_.chance(model_.late) ? model_.late_s : 0));
  }
  if (lost) delays.clear();
  return delays;
}

double Path::delay(double at_s) {
  double sum = draw_travel();
  double added = 0;
  for (const auto& route : model_.routes) {
    if (at_s >= route.from_s) added = route.added_s;
  }
  sum += added;
  for (const auto& queue : model_.queues) {
    const double there = presence(queue, at_s);
    if (there > 0) sum += there * (queue.level_s + draw(queue.jitter));
  }
  return std::max(sum, 0.0);
}

}  // namespace ntp::sim

#include "clock/kalman_bank.h"

#include <algorithm>
#include <cmath>

namespace ntp::clock {
namespace {

constexpr double kForget = 0.999;    // of the likelihoods, per measurement
constexpr double kMaxSurprise = 16;  // innovation^2 in variances; beyond it the noise is widened
constexpr double kTiny = 1e-40;      // keeps variances positive whatever is rounded away
// For bounds a wander counts until less than this remains of the weight above it.
constexpr double kWanderTail = 0.01;

constexpr std::array<double, KalmanBank::kWanders> kWander = {1e-21, 1e-20, 1e-19, 1e-18, 1e-17,
                                                              1e-16, 1e-15, 1e-14, 1e-13};

double wander_of(std::size_t member) noexcept { return kWander[member % KalmanBank::kWanders]; }

}  // namespace

void KalmanBank::start(RawTime at, double offset_s, double offset_var, double rate,
                       double rate_var) noexcept {
  at_ = at;
  for (Member& member : members_) {
    member = {.offset_s = offset_s,
              .rate = rate,
              .offset_var = offset_var,
              .covariance = 0,
              .rate_var = rate_var,
              .log_weight = 0};
  }
}

void KalmanBank::advance(RawTime to) noexcept {
  const double dt = seconds(to - at_);
  if (!(dt > 0)) return;
  at_ = to;
  for (std::size_t i = 0; i < kMembers; ++i) {
    Member& m = members_[i];
    const double q = wander_of(i);
    m.offset_s += m.rate * dt;
    m.offset_var += 2 * dt * m.covariance + dt * dt * m.rate_var + q * dt * dt * dt / 3;
    m.covariance += dt * m.rate_var + q * dt * dt / 2;
    m.rate_var += q * dt;
  }
}

void KalmanBank::update(const std::array<Measurement, kNoiseModels>& seen, double weight) noexcept {
  double best = -HUGE_VAL;
  for (std::size_t i = 0; i < kMembers; ++i) {
    Member& m = members_[i];
    const Measurement& z = seen[i / kWanders];
    const double innovation = z.offset_s - m.offset_s;
    double total = m.offset_var + z.variance;
    const double surprise = std::min(innovation * innovation / total, kMaxSurprise);
    total = std::max(total, innovation * innovation / kMaxSurprise);
    const double gain = m.offset_var / total;
    const double rate_gain = m.covariance / total;
    m.offset_s += gain * innovation;
    m.rate += rate_gain * innovation;
    m.rate_var = std::max(m.rate_var - rate_gain * m.covariance, kTiny);
    m.offset_var = std::max(m.offset_var * (total - m.offset_var) / total, kTiny);
    const double most = std::sqrt(m.offset_var * m.rate_var);
    m.covariance = std::clamp(m.covariance * (1 - gain), -most, most);
    m.log_weight =
        (1 - weight * (1 - kForget)) * m.log_weight - weight * 0.5 * (std::log(total) + surprise);
    best = std::max(best, m.log_weight);
  }
  for (Member& m : members_) m.log_weight -= best;
}

void KalmanBank::shift(double by_s, double offset_var) noexcept {
  for (Member& m : members_) {
    m.offset_s += by_s;
    m.offset_var = offset_var;
    m.covariance = 0;
  }
}

std::array<double, KalmanBank::kMembers> KalmanBank::weights() const noexcept {
  std::array<double, kMembers> weights;
  double sum = 0;
  for (std::size_t i = 0; i < kMembers; ++i) sum += weights[i] = std::exp(members_[i].log_weight);
  for (double& weight : weights) weight /= sum;
  return weights;
}

Estimate KalmanBank::estimate() const noexcept {
  const auto weight = weights();
  Estimate e{.at = at_};
  std::array<double, kWanders> by_wander{};
  for (std::size_t i = 0; i < kMembers; ++i) {
    e.offset_s += weight[i] * members_[i].offset_s;
    e.rate += weight[i] * members_[i].rate;
    by_wander[i % kWanders] += weight[i];
  }
  for (std::size_t i = 0; i < kMembers; ++i) {
    const Member& m = members_[i];
    const double offset = m.offset_s - e.offset_s;
    const double rate = m.rate - e.rate;
    e.offset_var += weight[i] * (m.offset_var + offset * offset);
    e.covariance += weight[i] * (m.covariance + offset * rate);
    e.rate_var += weight[i] * (m.rate_var + rate * rate);
  }
  double above = 0;
  for (std::size_t i = kWanders; i-- > 0 && above < kWanderTail;) {
    above += by_wander[i];
    e.wander = kWander[i];
  }
  return e;
}

double KalmanBank::likely_wander() const noexcept {
  const auto weight = weights();
  double log_wander = 0;
  for (std::size_t i = 0; i < kMembers; ++i) log_wander += weight[i] * std::log(wander_of(i));
  return std::exp(log_wander);
}

void KalmanBank::prefer_wander(double wander) noexcept {
  if (!(wander > 0)) return;
  for (std::size_t i = 0; i < kMembers; ++i) {
    members_[i].log_weight = -0.5 * std::abs(std::log(wander_of(i) / wander));
  }
}

}  // namespace ntp::clock

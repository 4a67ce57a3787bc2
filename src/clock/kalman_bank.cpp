#include "clock/kalman_bank.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace ntp::clock {
namespace {

// Of the log likelihood, per sample: a memory of a thousand samples.
constexpr double kForget = 0.999;
// Squared normalised innovation from which on a sample counts as an outlier.
constexpr double kOutlier = 16;
// How often the bounded model expects a sample that its interval does not explain.
constexpr double kSurprise = 0.01;
// How often queueing is not in the direction that it has been learned to be in.
constexpr double kOtherWay = 0.1;
// Variance that a computer's frequency usually gains per second: wander 3e-9.
constexpr double kUsualWander = 1e-17;
// A weight below e^-kBottom has lost; when the frequency jumps it must come back within a few
// samples.
constexpr double kBottom = 16;
// Weight of the wanders that bounds leave out.
constexpr double kUnlikely = 0.001;
constexpr double kLargestVar = 1e24;
constexpr double kLargestRateVar = 1e-2;  // 10 %, which no clock is off by; and doubles can hold it

// Standard deviation of the frequency's step each second: 10^-10.5, 10^-10 ... 10^-6.5.
const std::array<double, KalmanBank::kWanders> kWanderVar = [] {
  std::array<double, KalmanBank::kWanders> values{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::pow(10.0, 2 * (-10.5 + 0.5 * static_cast<double>(i)));
  }
  return values;
}();

// Two are enough: a Gaussian of the variance that the round trip implies, and averages of it with
// the constant one, won nothing anywhere and at times followed a queue.
enum class Noise : std::uint8_t {
  constant,  // Gaussian, always the same
  bounded,   // within the interval that the round trip implies, tilted to the busier direction
};

static_assert(KalmanBank::kNoises == static_cast<std::size_t>(Noise::bounded) + 1);

std::size_t wander_of(std::size_t member) noexcept { return member % KalmanBank::kWanders; }
Noise noise_of(std::size_t member) noexcept {
  return static_cast<Noise>(member / KalmanBank::kWanders);
}

BankMember moved(BankMember m, double dt, double q) noexcept {
  const double y = m.c * dt;
  const double p = m.p * (1 + y) * (1 + y) + m.d * dt * dt + q * dt * dt * dt / 3;
  const double cross = m.p * (1 + y) * m.c + m.d * dt + q * dt * dt / 2;
  const double determinant = m.p * m.d + q * dt * (m.p * (1 + y + y * y / 3) + m.d * dt * dt / 3) +
                             q * q * dt * dt * dt * dt / 12;
  m.offset_s += m.rate * dt;
  m.p = std::min(p, kLargestVar);
  m.c = cross / p;
  m.d = std::min(determinant / p, kLargestRateVar);
  return m;
}

// The covariance stays as it is.
void widen(BankMember& m, double offset_var, double rate_var) noexcept {
  const double cross = m.c * m.p;
  const double p = std::min(m.p + offset_var, kLargestVar);
  m.d = std::min(m.d + cross * cross * (1 / m.p - 1 / p) + rate_var, kLargestRateVar);
  m.c = cross / p;
  m.p = p;
}

// First and second derivative (negated) of a log likelihood by the predicted offset, and itself.
struct Score {
  double gradient = 0;
  double curvature = 0;
  double log_likelihood = 0;
};

Score gaussian(double innovation, double variance) noexcept {
  return {innovation / variance, 1 / variance,
          -0.5 * (std::log(2 * std::numbers::pi * variance) + innovation * innovation / variance)};
}

// An outlier pulls no harder than one of four sigma.
Score guarded(double innovation, double variance) noexcept {
  const double squared = innovation * innovation / variance;
  return gaussian(innovation, variance * std::max(1.0, squared / kOutlier));
}

double density(double x) noexcept {
  return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
}

// Phi(high) - Phi(low) without cancellation in the tails; low <= high.
double mass(double low, double high) noexcept {
  constexpr double kRoot = std::numbers::sqrt2;
  if (low > 0) return 0.5 * (std::erfc(low / kRoot) - std::erfc(high / kRoot));
  if (high < 0) return 0.5 * (std::erfc(-high / kRoot) - std::erfc(-low / kRoot));
  return 1 - 0.5 * (std::erfc(-low / kRoot) + std::erfc(high / kRoot));
}

// Queueing u up and excess - u down; u has density ~ exp(-tilt u) on [0, excess], so the source's
// offset is offset_s + excess / 2 - u. Against a Gaussian prediction with variance s^2 that
// includes the blur of the edges, the likelihood and its derivatives are those of a truncated
// Gaussian.
Score interval(double innovation, const Measurement& m, double s) noexcept {
  const double e = m.excess_s;
  const double a = innovation + e / 2;
  const double centre = a - m.tilt * s * s;
  const double low = -centre / s;
  const double high = (e - centre) / s;
  const double inside = mass(low, high);
  if (!(inside > 1e-12) || e < 0.05 * s)
    return guarded(m.corrected_s - m.offset_s + innovation, s * s + m.corrected_var);
  const double slope = (density(low) - density(high)) / inside;
  const double bend = (low * density(low) - high * density(high)) / inside;
  const double te = m.tilt * e;
  const double norm = std::fabs(te) < 1e-6 ? 1 / e : m.tilt / -std::expm1(-te);
  return {m.tilt - slope / s, std::max(0.0, (slope * slope - bend) / (s * s)),
          std::log(norm * inside) - m.tilt * a + 0.5 * m.tilt * m.tilt * s * s};
}

// Of a mixture: the second has this share.
Score mixed(const Score& first, const Score& second, double share) noexcept {
  const double log_first = std::log(1 - share) + first.log_likelihood;
  const double log_second = std::log(share) + second.log_likelihood;
  const double top = std::max(log_first, log_second);
  const double sum = std::exp(log_first - top) + std::exp(log_second - top);
  const double part = std::exp(log_first - top) / sum;
  const double apart = first.gradient - second.gradient;
  return {
      part * first.gradient + (1 - part) * second.gradient,
      part * first.curvature + (1 - part) * second.curvature - part * (1 - part) * apart * apart,
      top + std::log(sum)};
}

// The interval; the chance that this queue stands in the other direction than most; and the small
// one that the interval is wrong.
Score bounded(double innovation, const Measurement& m, double p) noexcept {
  const double s = std::sqrt(p + m.edge_var);
  Score in = interval(innovation, m, s);
  if (std::fabs(m.tilt) * m.excess_s > 1) {
    Measurement even = m;
    even.tilt = 0;
    even.corrected_s = m.offset_s;
    in = mixed(in, interval(innovation, even, s), kOtherWay);
  }
  const double broad = p + 4 * (m.excess_s * m.excess_s + m.constant_var);
  return mixed(in, guarded(innovation, broad), kSurprise);
}

Score score(Noise noise, const BankMember& member, const Measurement& m) noexcept {
  switch (noise) {
    case Noise::constant:
      return guarded(m.offset_s - member.offset_s, member.p + m.constant_var);
    case Noise::bounded:
      break;
  }
  return bounded(m.offset_s - member.offset_s, m, member.p);
}

}  // namespace

KalmanBank::KalmanBank() noexcept {
  start(0, 1, 0, 1e-6);
  favour_wander(kUsualWander);
}

void KalmanBank::start(double offset_s, double offset_var, double rate, double rate_var) noexcept {
  for (auto& member : members_) {
    member.offset_s = offset_s;
    member.rate = rate;
    member.p = offset_var;
    member.c = 0;
    member.d = rate_var;
  }
}

void KalmanBank::favour_wander(double wander) noexcept {
  for (std::size_t i = 0; i < kMembers; ++i) {
    const double apart = std::log10(kWanderVar[wander_of(i)] / wander);
    members_[i].log_weight = -0.5 * apart * apart;
  }
}

void KalmanBank::predict(double elapsed_s) noexcept {
  if (!(elapsed_s > 0)) return;
  for (std::size_t i = 0; i < kMembers; ++i) {
    members_[i] = moved(members_[i], elapsed_s, kWanderVar[wander_of(i)]);
  }
}

void KalmanBank::update(const Measurement& measurement) noexcept {
  const double forget = 1 - measurement.likelihood_weight * (1 - kForget);
  double top = -1e300;
  for (std::size_t i = 0; i < kMembers; ++i) {
    auto& member = members_[i];
    Score s = score(noise_of(i), member, measurement);
    member.log_weight =
        forget * member.log_weight + measurement.likelihood_weight * s.log_likelihood;
    top = std::max(top, member.log_weight);
    if (measurement.jump_offset_var > 0) {
      widen(member, measurement.jump_offset_var, measurement.jump_rate_var);
      s = score(noise_of(i), member, measurement);
    }
    member.offset_s += member.p * s.gradient;
    member.rate += member.c * member.p * s.gradient;
    // At most doubled by a surprise, and never quite to nothing.
    member.p *= std::clamp(1 - member.p * s.curvature, 1e-15, 2.0);
    member.p = std::max(member.p, 1e-24);
  }
  for (auto& member : members_) {
    member.log_weight = std::max(member.log_weight - top, -kBottom);
  }
}

void KalmanBank::anchor(double shift_s, double offset_var) noexcept {
  for (auto& member : members_) {
    member.offset_s += shift_s;
    member.d += member.c * member.c * member.p;  // keeps the rate's variance
    member.c = 0;
    member.p = offset_var;
  }
}

void KalmanBank::doubt(double offset_var, double rate_var) noexcept {
  for (auto& member : members_) widen(member, offset_var, rate_var);
}

std::array<double, KalmanBank::kMembers> KalmanBank::weights() const noexcept {
  std::array<double, kMembers> w{};
  double sum = 0;
  // What is at the bottom counts nothing: it may be seconds off, and would widen the errors.
  for (std::size_t i = 0; i < kMembers; ++i) {
    sum += w[i] = std::max(0.0, std::exp(members_[i].log_weight) - std::exp(-kBottom));
  }
  for (auto& value : w) value /= sum;
  return w;
}

BankEstimate KalmanBank::estimate(double elapsed_s) const noexcept {
  const auto w = weights();
  std::array<BankMember, kMembers> later = members_;
  BankEstimate e;
  std::array<double, kWanders> by_wander{};
  for (std::size_t i = 0; i < kMembers; ++i) {
    const double q = kWanderVar[wander_of(i)];
    if (elapsed_s > 0) later[i] = moved(later[i], elapsed_s, q);
    e.offset_s += w[i] * later[i].offset_s;
    e.rate += w[i] * later[i].rate;
    e.wander += w[i] * q;
    by_wander[wander_of(i)] += w[i];
  }
  for (std::size_t i = 0; i < kMembers; ++i) {
    const auto& m = later[i];
    const double off = m.offset_s - e.offset_s;
    const double rate = m.rate - e.rate;
    e.offset_var += w[i] * (m.p + off * off);
    e.covariance += w[i] * (m.p * m.c + off * rate);
    e.rate_var += w[i] * (m.p * m.c * m.c + m.d + rate * rate);
  }
  double above = 0;
  std::size_t i = kWanders - 1;
  while (i > 0 && above + by_wander[i] < kUnlikely) above += by_wander[i--];
  e.wander_upper = kWanderVar[i];
  return e;
}

}  // namespace ntp::clock

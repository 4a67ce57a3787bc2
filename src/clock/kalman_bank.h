// A bank of Kalman filters over what is not known beforehand: how much the clock's frequency
// wanders, and what kind of noise the path makes. Each member assumes one answer; how well it
// foretold the samples weighs it.
#pragma once

#include <array>
#include <cstddef>

namespace ntp::clock {

// One sample, as the bank's noise models see it.
struct Measurement {
  double offset_s = 0;       // as measured
  double corrected_s = 0;    // less the mean of what queueing does to it, given the round trip
  double corrected_var = 0;  // and its variance
  double constant_var = 0;   // as if the round trip said nothing
  double excess_s = 0;       // of the round trip over its shortest: the error is within +-excess/2
  double tilt = 0;           // 1/s: 1/mean queueing up - 1/mean queueing down
  double edge_var = 0;       // how well the ends of that interval are known
  double likelihood_weight = 1;  // 0 to 1: how far it may judge between members
  // What is added to the variances of offset and rate once it has judged: it shows a jump.
  double jump_offset_var = 0;
  double jump_rate_var = 0;
};

// Moments of the weighted members.
struct BankEstimate {
  double offset_s = 0;
  double rate = 0;
  double offset_var = 0;
  double covariance = 0;
  double rate_var = 0;
  double wander = 0;        // mean of the variance that the rate gains per second
  double wander_upper = 0;  // what all but a thousandth of the weight stays below
};

// Offset and rate with covariance {p, p c; p c, p c^2 + d}: the offset's variance, the slope of the
// rate on it, and the rate's variance once the offset is known. All steps are sums of positive
// terms in this form, so the covariance cannot lose its positivity to rounding.
struct BankMember {
  double offset_s = 0;
  double rate = 0;
  double p = 1;
  double c = 0;
  double d = 1e-6;
  double log_weight = 0;
};

class KalmanBank {
 public:
  static constexpr std::size_t kWanders = 9;
  static constexpr std::size_t kNoises = 2;  // always the same; within what the round trip implies
  static constexpr std::size_t kMembers = kWanders * kNoises;

  KalmanBank() noexcept;

  void start(double offset_s, double offset_var, double rate, double rate_var) noexcept;
  void favour_wander(double wander) noexcept;  // learned earlier
  void predict(double elapsed_s) noexcept;
  void update(const Measurement& measurement) noexcept;
  // The phase jumped: same rate, new offset.
  void anchor(double shift_s, double offset_var) noexcept;
  // Offset and frequency may have jumped.
  void doubt(double offset_var, double rate_var) noexcept;
  // The estimate `elapsed_s` after the latest prediction.
  BankEstimate estimate(double elapsed_s = 0) const noexcept;

 private:
  std::array<double, kMembers> weights() const noexcept;
  std::array<BankMember, kMembers> members_{};
};

}  // namespace ntp::clock

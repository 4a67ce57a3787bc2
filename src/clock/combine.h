// Survivors of the selection -> one clock (RFC 5905 section 11.2.3), its bound, and a memory of how
// the sources differ, so that the clock does not jump when one of them comes or goes. Pure.
//
// The bound. Let T be the true offset from the base, c the combined one, theta_i those of the
// sources, lambda_i their root distances, and p_i >= 0 any weights of sum 1. Then
//     |c - T| <= |c - m| + |m - T|                           with m = sum p_i theta_i
//             <= |c - m| + sum p_i |theta_i - T|             since the p_i sum to 1
//             <= |c - m| + sum p_i lambda_i                  if every survivor is a truechimer.
// It holds for *any* c: how c is blended is a matter of accuracy, never of honesty. Served are
// root_delay = sum p_i delay_i, and the rest as root_dispersion.
// When voters contradict each other, some lie, and liars may have drawn the largest majority away
// from an honest source. The bound then also reaches over all points with more than half of the
// votes, where T must be as long as most voters are right, whoever they are. What stays is a lie by
// a minority that contradicts nobody: that cannot be seen.
//
// The clock. A source's offset is true time + a bias that hardly changes (asymmetry) + noise. The
// biases b_i against c are learned slowly, and c = sum w_i (theta_i - b_i) with the w_i by noise
// alone. A source that joins gets b_i = theta_i - c and one that leaves takes its noise along:
// neither moves c. What nobody can know, the mean of the biases, is taken to be 0 under the p_i
// (by delay: half of it may be asymmetry); c creeps there, as fast as it is young or far off.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/time.h"
#include "clock/estimate.h"
#include "clock/selection.h"

namespace ntp::clock {

// Time constant of a grown clock for learning biases and for creeping to their mean.
inline constexpr double kBiasMemory_s = 3600;
inline constexpr std::size_t kMaxBiases = 64;  // of sources that are away, and a full set in use

struct Combined {
  Estimate clock{};              // true - base
  double root_delay_s = 0;       // sum p_i delay_i
  double root_dispersion_s = 0;  // at clock.at, all of it: bound = root_delay / 2 + this
  double held_s = 0;             // the part of it that does not grow with the age of the estimate
  Interval offset{};             // clock.offset -+ bound
  RawTime newest{};              // the latest estimate that went in
  std::uint32_t system_id = 0;
  std::uint8_t stratum = 16;  // the system source's
  std::uint32_t refid = 0;
  int sources = 0;  // that were combined
};

// |true - served| at `when`, no sooner than the combination: the estimate's own growth on top of
// what was held. Without the half of root_delay.
double root_dispersion_s(const Combined& combined, RawTime when) noexcept;

class Combiner {
 public:
  // `selection` is that of `candidates` at `now` with the outcome `selected`. `now` never goes
  // back.
  Combined combine(RawTime now, std::span<const Candidate> candidates, const Selection& selection);

  // Forgets everything, as after a suspend.
  void restart() { *this = Combiner{}; }

 private:
  struct Bias {
    std::uint32_t id = 0;
    double bias_s = 0;
    double variance = 0;
    double weight = 0;  // not normalised p
    RawTime used{};
  };
  struct Member;

  std::vector<Member> members_of(RawTime now, std::span<const Candidate> candidates,
                                 const Selection& selection) const;
  Bias* find(std::uint32_t id) noexcept;
  double carried_offset(std::vector<Member>& members, RawTime now, double anchor_s) noexcept;
  void welcome(Member& member, double clock_s, RawTime now);
  void forget_oldest(RawTime now);
  void learn(std::vector<Member>& members, double clock_s, double elapsed_s) noexcept;
  double creep(const std::vector<Member>& members, RawTime now, double elapsed_s,
               double distance_s) const noexcept;

  std::vector<Bias> biases_;
  std::optional<Combined> last_;
  double age_s_ = 0;  // time during which there was something to combine
};

}  // namespace ntp::clock

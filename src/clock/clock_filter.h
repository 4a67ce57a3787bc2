// The clock filter of one source (RFC 5905 section 10 has another one): samples in, offset and
// frequency with their errors out. docs/decisions/0009 says how and why. Pure; about 7 KiB, some
// microseconds a sample, no allocation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "clock/estimate.h"
#include "clock/kalman_bank.h"
#include "clock/path_statistics.h"
#include "clock/rate_history.h"
#include "clock/sample.h"

namespace ntp::clock {

class ClockFilter {
 public:
  // What is worth keeping over a restart.
  struct Memory {
    double rate = 0;
    double rate_sd = 0;  // 0: nothing is known
    double wander = 0;   // 0: likewise

    Memory after(double elapsed_s) const noexcept;  // what is left of it
  };

  ClockFilter() noexcept = default;
  explicit ClockFilter(const Memory& memory) noexcept : memory_(memory) {}

  // Samples that are not after the last one, or not numbers, change nothing. One beyond what errors
  // explain is held back until the next says the same: then the source has stepped.
  void update(const Sample& sample) noexcept;

  bool empty() const noexcept { return samples_ == 0; }
  // Offset and frequency at `now`; only when not empty.
  Estimate estimate(RawTime now) const noexcept;

  std::uint64_t samples() const noexcept { return samples_; }  // without those held back
  std::uint64_t steps() const noexcept { return steps_; }      // of the source, or of the path
  const std::optional<Sample>& last() const noexcept { return last_; }  // held back or not
  // The last one that was not: what the source said of itself when it said what estimate() says.
  const std::optional<Sample>& believed() const noexcept { return believed_; }
  // By how much the source's own error, as it said with the samples that still tell in the
  // estimate, is over what it says of itself now. Who has just been set right says so at once, but
  // what he said before is still believed for a while.
  double past_error_s() const noexcept;
  // The last sample is held back, and not because the source follows somebody else now: the next
  // one tells whether the clock has stepped, so ask soon.
  bool is_in_doubt() const noexcept {
    return beyond_ != 0 && believed_ && last_->stratum == believed_->stratum &&
           last_->refid == believed_->refid;
  }
  bool is_held_back() const noexcept { return beyond_ != 0; }  // the last sample, whatever for
  const PathStatistics& path() const noexcept { return path_; }
  const Queueing& queueing() const noexcept { return queueing_; }
  double jitter_s() const noexcept;  // one sigma of a usual sample's offset; 0 when empty
  Memory memory() const noexcept;

 private:
  struct Excess {
    double excess_s = 0;  // of a round trip over its shortest, as far as that is known
    double hidden_s = 0;  // the part of it that the shortest itself is expected to be too long by
  };

  double least_rate(const Sample& from, const Sample& to) const noexcept;
  double proven_rate() const noexcept;
  void start(const Sample& sample) noexcept;
  void begin_again() noexcept;
  void blend_upstream_error(const Sample& sample, double gain) noexcept;
  Excess excess_of(double delay_s) const noexcept;
  Measurement measure(const Sample& sample) const noexcept;
  bool is_beyond(const Sample& sample, const BankEstimate& expected, double elapsed_s) noexcept;
  void step(const Sample& sample, const BankEstimate& expected) noexcept;
  void doubt_unexplained(Measurement& m, double elapsed_s) const noexcept;
  void doubt_idle_time(double elapsed_s) noexcept;
  void learn_usual_excess(double delay_s, double elapsed_s) noexcept;
  void learn_queueing(const Sample& sample, const Measurement& m) noexcept;
  void notice_shorter_route(const Sample& sample, const BankEstimate& expected) noexcept;
  void forget_lone_minimum(const Sample& sample) noexcept;
  void notice_longer_route(const Sample& sample, const BankEstimate& expected) noexcept;
  double typical_queueing() const noexcept;
  Estimate estimate_of(const BankEstimate& e, RawTime at) const noexcept;

  static constexpr std::size_t kEarly = 24;

  Memory memory_{};
  std::array<Sample, kEarly> early_{};
  std::size_t early_count_ = 0;  // kEarly: no more of them
  KalmanBank bank_{};
  PathStatistics path_{};
  LongMinimum shortest_{};
  Queueing queueing_{};
  RateHistory rates_{};
  RawTime first_{};
  std::optional<Sample> last_{};
  std::optional<Sample> believed_{};
  double upstream_error_s_ = 0;  // of the source, as of the samples in the estimate
  std::uint64_t samples_ = 0;
  std::uint64_t steps_ = 0;
  double usual_excess_s_ = 1e-9;
  int beyond_ = 0;                // samples in a row that nothing explains; negative: too small
  RawTime beyond_since_{};        // the first of them
  double beyond_s_ = 0;           // and its innovation
  std::size_t raised_ = 0;        // samples in a row well above the shortest delay
  double raised_surprise_s_ = 0;  // sum of their errors against …
  Estimate before_raise_{};       // … what was known before them
};

}  // namespace ntp::clock

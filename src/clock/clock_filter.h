// The clock filter of one source (RFC 5905 section 10 has another one): samples in, offset and
// frequency with their errors out. docs/decisions/0009 says how and why. Pure; about 8 KiB, some
// microseconds a sample.
#pragma once

#include <cstdint>
#include <optional>

#include "clock/estimate.h"
#include "clock/kalman_bank.h"
#include "clock/path_statistics.h"
#include "clock/sample.h"

namespace ntp::clock {

class ClockFilter {
 public:
  // What is worth keeping over a restart.
  struct Memory {
    double rate = 0;
    double rate_sd = 0;  // 0: nothing is known
    double wander = 0;   // 0: likewise
  };

  ClockFilter() noexcept = default;
  explicit ClockFilter(const Memory& memory) noexcept : memory_(memory) {}

  // Samples that are not after the last one change nothing.
  void update(const Sample& sample) noexcept;

  bool empty() const noexcept { return samples_ == 0; }
  // Offset and frequency at `now`; only when not empty.
  Estimate estimate(RawTime now) const noexcept { return bank_.estimate().at_time(now); }

  std::uint64_t samples() const noexcept { return samples_; }
  std::uint64_t steps() const noexcept { return steps_; }  // of the source, or of the path
  const std::optional<Sample>& last() const noexcept { return last_; }
  const PathStatistics& path() const noexcept { return path_; }
  double jitter_s() const noexcept { return jitter_s_; }  // of one sample, as last judged
  Memory memory() const noexcept;

 private:
  void begin(const Sample& sample, const PathStatistics::View& path) noexcept;
  bool notice_step(const Sample& sample) noexcept;

  Memory memory_{};
  PathStatistics path_;
  KalmanBank bank_;
  std::optional<Sample> last_;
  std::uint64_t samples_ = 0;
  std::uint64_t steps_ = 0;
  int beyond_ = 0;  // samples in a row that no queue explains; negative: too small
  double jitter_s_ = 0;
};

}  // namespace ntp::clock

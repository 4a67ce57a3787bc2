// What the round trips of a path say of its queues. Pure; constant memory (about 4 KiB).
#pragma once

#include <array>
#include <cstddef>

namespace ntp::clock {

// Mean and variance of an exponential distribution of rate `lambda` (of either sign) cut to
// [0, range]: the queueing in one direction when that in both together is `range`.
struct Moments {
  double mean = 0;
  double variance = 0;
};
Moments truncated_exponential(double range, double lambda) noexcept;

// Delays of the last samples: the shortest is the path itself, what is above it is queueing.
class PathStatistics {
 public:
  static constexpr std::size_t kWindow = 256;

  // One delay, judged beside those before it.
  struct View {
    double excess_s = 0;    // over the shortest, with what the shortest is expected to be too long
    double median_s = 0;    // of the excess of all, likewise
    double queueing_s = 0;  // mean of one direction, as the median tells
    double variance = 0;    // of the delays
    std::size_t count = 0;
  };
  View add(double delay_s) noexcept;

  // The queueing that the estimate of the clock shows to have been on the way there and back.
  void learn(double there_s, double back_s) noexcept;
  // Of a sample with that excess: what its offset is too large by (mean), and how sure that is.
  Moments asymmetry(double excess_s) const noexcept;

  double min_delay_s() const noexcept { return min_s_; }
  // Of the best of the last few samples: what a root delay is made of.
  double recent_delay_s() const noexcept;
  std::size_t count() const noexcept { return count_; }
  double queueing_there_s() const noexcept { return there_s_; }
  double queueing_back_s() const noexcept { return back_s_; }

 private:
  std::array<double, kWindow> delays_{};
  std::size_t next_ = 0;
  std::size_t count_ = 0;
  std::size_t learned_ = 0;
  double min_s_ = 0;
  double there_s_ = 0;  // mean queueing on the way to the source
  double back_s_ = 0;
};

}  // namespace ntp::clock

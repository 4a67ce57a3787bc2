// What the round trips of a path say of it: the shortest, how they spread above it, and on which of
// the two ways packets wait. Pure; constant memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ntp::clock {

// Mean and variance of an exponential distribution of rate `tilt` (of either sign) cut to
// [0, range]: the queueing in one direction when that in both together is `range`.
struct Moments {
  double mean = 0;
  double variance = 0;
};
Moments truncated_exponential(double range, double tilt) noexcept;

// The latest 256 round trips, in order of age and of size. 4 KiB; an insertion moves at most 256
// numbers.
class PathStatistics {
 public:
  static constexpr std::size_t kWindow = 256;

  void add(double delay_s) noexcept;
  // One that stands far below all others is no shortest path, but a fault of stamps, or a last
  // packet by another route.
  bool has_lone_minimum() const noexcept;
  void forget_minimum() noexcept;  // it counts as the next shortest; size() > 1
  // Forgets all but the latest `keep`: the path is another one since then.
  void keep_latest(std::size_t keep) noexcept;

  std::size_t size() const noexcept { return size_; }
  double minimum() const noexcept { return sorted_[0]; }         // size() > 0
  double median() const noexcept { return sorted_[size_ / 2]; }  // size() > 0
  double variance() const noexcept;
  // Of the latest `count` (at most size()); size() > 0.
  double latest_minimum(std::size_t count) const noexcept;
  double latest_variance(std::size_t count) const noexcept;
  // Of the best of the last few samples: what a root delay is made of. Never negative.
  double recent_delay_s() const noexcept;

 private:
  double latest(std::size_t age) const noexcept {
    return ring_[(next_ + kWindow - 1 - age) % kWindow];
  }
  void insert_sorted(double delay_s) noexcept;
  void remove_sorted(double delay_s) noexcept;

  std::array<double, kWindow> ring_{};
  std::array<double, kWindow> sorted_{};
  std::size_t next_ = 0;
  std::size_t size_ = 0;
};

// The shortest round trip of the last two days, by sixteen spans of three hours: longer than any
// congestion that comes with the time of day.
class LongMinimum {
 public:
  static constexpr double kSpan_s = 3 * 3600;
  static constexpr std::size_t kSpans = 16;

  void add(double at_s, double delay_s) noexcept;
  // As if `count` samples had been the first ones.
  void restart(double at_s, double minimum_s, double count) noexcept;
  double minimum() const noexcept;  // count() > 0
  double count() const noexcept;    // of the samples that it was taken from

 private:
  struct Span {
    std::int64_t number = -1;
    double minimum_s = 0;
    double count = 0;
  };
  std::array<Span, kSpans> spans_{};
};

// The mean queueing on the way to the source (up) and back (down), as the estimate of the clock
// shows it.
class Queueing {
 public:
  bool is_known() const noexcept { return up_s_ > 0; }
  // `count`: how many samples there have been; the average forgets by the latest 200.
  void learn(double up_s, double down_s, double count) noexcept;
  void start(double each_s) noexcept { up_s_ = down_s_ = each_s; }

  double up_s() const noexcept { return up_s_; }
  double down_s() const noexcept { return down_s_; }
  double mean_s() const noexcept;  // geometric; 0 while unknown
  // 1 / up - 1 / down as far as they differ clearly, else 0: the rate of truncated_exponential().
  double tilt() const noexcept;

 private:
  double up_s_ = 0;
  double down_s_ = 0;
};

}  // namespace ntp::clock

// Latencies in nanoseconds, counted in buckets of 1/64 of a power of two (1.6 % wide at most), so
// that a quantile of millions of values costs 20 KiB and no sorting.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace ntp::bench {

class Histogram {
 public:
  void add(std::int64_t value_ns) noexcept {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(value_ns, 0));
    ++buckets_[bucket_of(value)];
    ++count_;
    sum_ += static_cast<double>(value);
    largest_ = std::max(largest_, value);
  }

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t largest() const noexcept { return largest_; }
  double mean() const noexcept { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

  // The smallest upper edge below which at least `share` (0..1] of the values lie; 0 when empty.
  std::uint64_t quantile(double share) const noexcept {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= wanted && seen > 0) return std::min(upper_edge(i), largest_);
    }
    return largest_;
  }

 private:
  static constexpr unsigned kFineBits = 6;
  static constexpr std::size_t kFine = std::size_t{1} << kFineBits;
  static constexpr unsigned kLargestBits = 40;  // 18 minutes: nothing waits longer

  static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
    value = std::min(value, (std::uint64_t{1} << kLargestBits) - 1);
    if (value < kFine) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kFineBits;
    return (shift + 1) * kFine + ((value >> shift) - kFine);
  }
  static constexpr std::uint64_t upper_edge(std::size_t bucket) noexcept {
    if (bucket < kFine) return bucket;
    const std::size_t shift = bucket / kFine - 1;
    return ((bucket % kFine + kFine + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (kLargestBits - kFineBits + 1) * kFine> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t largest_ = 0;
  double sum_ = 0;
};

}  // namespace ntp::bench

// What one worker has done since it started. One thread writes, any thread may read.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/published.h"
#include "server/drop.h"
#include "server/rate_limit.h"

namespace ntp::server {

// Relaxed and without a locked instruction: there is one writer.
class Counter {
 public:
  void add(std::uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
  std::uint64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Upper edges of the latency histogram, kernel receive stamp to transmit stamp, in
// nanoseconds; one more bucket holds what is slower.
inline constexpr std::array<std::uint64_t, 15> kLatencyEdges_ns = {
    2'000,     5'000,     10'000,    20'000,     50'000,      100'000,       200'000,       500'000,
    1'000'000, 2'000'000, 5'000'000, 10'000'000, 100'000'000, 1'000'000'000, 10'000'000'000};
inline constexpr std::size_t kLatencyBuckets = kLatencyEdges_ns.size() + 1;

struct alignas(64) Counters {
  Counter received;                 // datagrams
  Counter batches;                  // receive calls that delivered any
  std::array<Counter, 5> versions;  // replies by version, index 1-4
  std::array<Counter, kDropCount> drops;
  Counter mac_accepted;      // replies sealed with a symmetric key
  Counter nts_accepted;      // with NTS
  Counter nts_naks;          // NTSN: the cookie was not ours any more, or the seal was wrong
  Counter kisses;            // of the replies, kiss-o'-deaths
  Counter leaked;            // of the replies, those above the limit
  Counter lost;              // dropped by the kernel, the queue being full
  Counter replies;           // handed to the kernel
  Counter send_errors;       // not accepted by the kernel
  Counter receive_errors;    // the kernel refused to deliver
  Counter stamps_missing;    // no kernel receive stamp: the clock was read
  Counter stamps_discarded;  // a stamp that disagreed with the clock (G10)
  std::array<Counter, kLatencyBuckets> latency;  // replies with a kernel stamp
  Counter latency_sum_ns;
  std::atomic<std::int64_t> heartbeat_ns{0};  // CLOCK_MONOTONIC_RAW of the last sign of life
  Published<RateView> rate{RateView{}};       // how the limiter sees its world
  std::atomic<std::uint64_t> probe_seen{0};   // the last Policy::probe_xmt that came by
};

}  // namespace ntp::server

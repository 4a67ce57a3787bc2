// Keeps a server busy and writes down how it did: the loop of the load generator.
#pragma once

#include <array>
#include <cstdint>

#include "dialogue.h"
#include "exchange.h"
#include "histogram.h"
#include "port.h"

namespace ntp::bench {

struct LoadOptions {
  std::uint32_t clients = 1;
  std::uint32_t outstanding = 128;  // closed loop: requests that wait for an answer at any time
  double rate = 0;                  // above 0: open loop, so many requests a second, evenly spaced
  double warm_up_s = 0.2;
  double duration_s = 2;
  double lost_after_s = 0.25;
  bool patient = false;  // sleeps where there is nothing to do, and leaves the processor to others
};

// Counted between the end of the warm-up and the end of the duration, except where it says "all".
struct LoadResult {
  double duration_s = 0;
  std::uint64_t sent = 0;
  std::uint64_t replies = 0;      // good ones
  std::uint64_t all_replies = 0;  // good ones since the start, to divide the server's CPU time by
  std::uint64_t lost = 0;         // not answered, or not within lost_after_s
  std::uint64_t refused = 0;      // not accepted by our own kernel
  std::uint64_t late = 0;         // open loop: sent more than 100 us after their time
  std::array<std::uint64_t, kFaults> all_faults{};
  Histogram latency{};

  double rate() const { return duration_s > 0 ? static_cast<double>(replies) / duration_s : 0; }
  double loss() const {
    const auto total = static_cast<double>(replies + lost);
    return total > 0 ? static_cast<double>(lost) / total : 0;
  }
  std::uint64_t faults() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : all_faults) sum += count;
    return sum;
  }
};

// How many questions may be under way: as many slots the dialogue needs.
std::uint32_t slots_of(const LoadOptions& options) noexcept;

// Runs to its end; spins on the clock and on the port the whole time, unless it is patient.
LoadResult run_load(Port& port, Dialogue& dialogue, const LoadOptions& options);

}  // namespace ntp::bench

// One source, one client, in samples: what the filter alone is measured with. (Whole associations
// belong to a simulator of packets; the models are the same.)
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "sim/link.h"
#include "sim/oscillator.h"

namespace ntp::sim {

// An exchange that came back; true times.
struct Exchange {
  double sent_s = 0;
  double up_s = 0;
  double down_s = 0;
};

// The source is perfect unless it steps.
struct Run {
  std::vector<double> clock_s{};  // client's clock - true time at second 0, 1, 2 ...
  std::vector<Exchange> exchanges{};
  std::vector<Step> source_steps{};
};

struct Polling {
  double interval_s = 64;
  int burst = 8;  // at the start, two seconds apart
};

Run simulate(const OscillatorModel& oscillator, const LinkModel& link, const Polling& polling,
             int length_s, std::uint64_t seed);

// A run of clknetsim, as clknetsim.py keeps it: FILE.raw has the client's raw frequency error
// at each second, FILE.pkt (time, sending node, delay) of each packet; all doubles, node 2 the
// client.
std::expected<Run, std::string> replay(const std::string& file, int length_s);

struct Result {
  double rms_s = 0;
  double max_s = 0;
  double rate_rms = 0;
  double coverage = 0;  // of |error| <= delay / 2 + clock::kCoverage sigma
  double bound_median_s = 0;
  double settled_s = 0;  // from here to the end |error| stays below `settle_at_s`
  double ns_per_sample = 0;
};

struct Measure {
  int from_s = 40'000;
  int to_s = 1 << 30;
  double settle_at_s = 0;
};

// Runs clock::ClockFilter over it and compares each second.
Result follow(const Run& run, const Measure& measure);

}  // namespace ntp::sim

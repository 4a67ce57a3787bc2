// What was measured of another program, for goals that compare with it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ntp::sim {

struct PeerRun {
  int seed = 0;
  double rms_s = 0;
  double max_s = 0;
  double rate_rms = 0;
  std::optional<double> questions{};       // these not in each line
  std::optional<double> median_bound_s{};  //
};

// chrony-4.3.tsv: runs by condition (scenarios.h) and poll, 0 for the default one. Empty: the file
// cannot be read.
using PeerRuns = std::map<std::pair<std::string, int>, std::vector<PeerRun>>;
PeerRuns read_peer_runs(const std::string& file);

// chrony-goals.tsv: by key and figure (value_of() in figures.h), a value for each seed or one that
// is a median already. Empty: the file cannot be read.
using PeerFigures = std::map<std::pair<std::string, std::string>, std::vector<double>>;
PeerFigures read_peer_figures(const std::string& file);

// The upper one of two; of none, 0.
double median(std::vector<double> values);
double largest(const std::vector<double>& values);

}  // namespace ntp::sim

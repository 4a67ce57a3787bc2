// How well the filter follows one perfect source, beside what was measured of chrony in the same
// conditions (chrony-4.3.tsv).
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/peers.h"
#include "sim/run.h"
#include "sim/scenarios.h"

namespace ntp::sim {
namespace {

constexpr int kLength = 200'000;

struct Options {
  std::vector<std::string> names{};
  std::vector<int> polls{64, 16};
  int seeds = 5;
  std::string chrony{};   // file
  std::string replays{};  // folder
  double at_most = 0;     // of the ratio of RMS errors; 0: any
};

// Of one scenario and poll; a number for each seed.
struct Row {
  std::vector<double> rms{}, max{}, rate{}, bound{}, peer_rms{}, peer_max{}, ns{};
  std::vector<double> ratio{};  // same packets, same clock: only of replays
  double coverage = 1;

  double rms_ratio() const { return ratio.empty() ? over(rms, peer_rms) : median(ratio); }
  static double over(const std::vector<double>& ours, const std::vector<double>& theirs) {
    return theirs.empty() ? 0 : median(ours) / median(theirs);
  }
};

void print_header() {
  fmt::print("{:<11}{:>5}{:>10}{:>10}{:>11}{:>7}{:>7}{:>8}{:>10}{:>9}{:>11}{:>7}  {}\n", "scenario",
             "poll", "rms/us", "worst", "chrony/us", "ratio", "worst", "max", "rate/ppb", "cover",
             "bound/us", "ns", "what");
}

std::string ratio_text(double ratio) { return ratio > 0 ? fmt::format("{:.2f}", ratio) : "-"; }

void print(const Scenario& scenario, int poll, const Row& row) {
  fmt::print(
      "{:<11}{:>5}{:>10.2f}{:>10.2f}{:>11}{:>7}{:>7}{:>8}{:>10.3f}{:>9.5f}{:>11.1f}{:>7.0f}  {}\n",
      scenario.name, poll, median(row.rms) * 1e6, largest(row.rms) * 1e6,
      row.peer_rms.empty() ? "-" : fmt::format("{:.2f}", median(row.peer_rms) * 1e6),
      ratio_text(row.rms_ratio()), ratio_text(largest(row.ratio)),
      ratio_text(Row::over(row.max, row.peer_max)), median(row.rate) * 1e9, row.coverage,
      median(row.bound) * 1e6, median(row.ns), scenario.what);
  std::fflush(stdout);
}

Row measure(const Scenario& scenario, int poll, const Options& options, const PeerRuns& peers) {
  Row row;
  const auto found = peers.find({scenario.name, poll});
  const std::vector<PeerRun> others = found == peers.end() ? std::vector<PeerRun>{} : found->second;
  for (const PeerRun& peer : others) {
    row.peer_rms.push_back(peer.rms_s);
    row.peer_max.push_back(peer.max_s);
  }
  for (int seed = 1; seed <= options.seeds; ++seed) {
    Run run;
    if (options.replays.empty()) {
      run = simulate(scenario.oscillator, scenario.link, {.interval_s = static_cast<double>(poll)},
                     kLength, static_cast<std::uint64_t>(seed));
    } else {
      auto kept =
          replay(fmt::format("{}/{}-{}-{}", options.replays, scenario.name, poll, seed), kLength);
      if (!kept) continue;
      run = std::move(*kept);
    }
    const Result r = follow(run, {});
    row.rms.push_back(r.rms_s);
    row.max.push_back(r.max_s);
    row.rate.push_back(r.rate_rms);
    row.bound.push_back(r.bound_median_s);
    row.ns.push_back(r.ns_per_sample);
    row.coverage = std::min(row.coverage, r.coverage);
    const auto peer = std::ranges::find(others, seed, &PeerRun::seed);
    if (!options.replays.empty() && peer != others.end())
      row.ratio.push_back(r.rms_s / peer->rms_s);
  }
  return row;
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  std::istringstream in{std::string(list)};
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view arg = argv[i];
    const char* value = argv[i + 1];
    if (arg == "--seeds") {
      options.seeds = std::atoi(value);
    } else if (arg == "--polls") {
      options.polls.clear();
      for (const auto& poll : split(value)) options.polls.push_back(std::atoi(poll.c_str()));
    } else if (arg == "--scenarios") {
      options.names = split(value);
    } else if (arg == "--chrony") {
      options.chrony = value;
    } else if (arg == "--replay") {
      options.replays = value;
    } else if (arg == "--at-most") {
      options.at_most = std::atof(value);
    } else {
      return false;
    }
  }
  return argc % 2 == 1 && options.seeds > 0;
}

int run(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    fmt::print(stderr,
               "usage: filter_accuracy [--scenarios a,b] [--polls 64,16] [--seeds N] "
               "[--chrony FILE.tsv] [--replay FOLDER] [--at-most RATIO]\n");
    return 2;
  }
  PeerRuns peers;
  if (!options.chrony.empty()) peers = read_peer_runs(options.chrony);
  if (!options.chrony.empty() && peers.empty()) {
    fmt::print(stderr, "filter_accuracy: cannot read {}\n", options.chrony);
    return 1;
  }
  print_header();
  int rows = 0;
  int beyond = 0;
  for (const int poll : options.polls) {
    for (const auto& scenario : scenarios()) {
      const bool wanted = options.names.empty() ||
                          std::ranges::find(options.names, scenario.name) != options.names.end();
      if (!wanted) continue;
      const Row row = measure(scenario, poll, options, peers);
      if (row.rms.empty()) continue;
      print(scenario, poll, row);
      ++rows;
      if (options.at_most <= 0) continue;
      const bool fine = row.rms_ratio() > 0 && row.rms_ratio() <= options.at_most;
      if (!fine || row.coverage < 0.9999) ++beyond;
    }
  }
  if (options.at_most > 0) fmt::print("{} of {} rows miss the goal\n", beyond, rows);
  return rows > 0 && beyond == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ntp::sim

int main(int argc, char** argv) { return ntp::sim::run(argc, argv); }

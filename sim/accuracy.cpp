// ./dev accuracy: the goals of the clock, one table.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sim/goals.h"
#include "sim/scenario_file.h"

namespace ntp::sim {
namespace {

struct Options {
  std::uint64_t seeds = 5;
  std::vector<std::string> only{};  // rows with one of these in their names or scenarios
  double slack = 1;
  std::string folder = NTP_SIM;
};

// Rows that are missed, and why; a name that ends with a colon stands for all that begin with it.
using Known = std::map<std::string, std::string>;

Known::const_iterator find(const Known& known, const std::string& row) {
  const auto exact = known.find(row);
  if (exact != known.end()) return exact;
  return std::ranges::find_if(known, [&row](const auto& entry) {
    return entry.first.ends_with(':') && row.starts_with(entry.first);
  });
}

Known read_known(const std::string& file) {
  Known known;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto tab = line.find('\t');
    if (line.empty() || line[0] == '#' || tab == std::string::npos) continue;
    known[line.substr(0, tab)] = line.substr(tab + 1);
  }
  return known;
}

std::string limit_text(const GoalRow& row) {
  const auto text = [&row](double value) {
    return row.is_ratio() ? fmt::format("{:g}", value) : value_text(row.goal.figure, value);
  };
  std::string out;
  if (row.goal.at_most) out = "<= " + text(*row.goal.at_most);
  if (row.goal.worst_at_most) {
    out += (out.empty() ? "each <= " : ", each ") + text(*row.goal.worst_at_most);
  }
  if (row.goal.at_least) out += "each >= " + text(*row.goal.at_least);
  return out.empty() ? "-" : out;
}

void print(const GoalRow& row) {
  const auto text = [&row](double value) {
    return row.is_ratio() ? fmt::format("{:.2f}", value) : value_text(row.goal.figure, value);
  };
  const auto& figure = row.goal.figure;
  const bool pooled = figure == "coverage" || figure == "coverage_since";
  fmt::print("  {:<74}{:>10}{:>10}{:>10}{:>10}  {:<16}  {:<7}{}\n", row.name(),
             row.is_ratio() ? value_text(figure, median(row.ours)) : "",
             row.chrony.empty() ? "-" : value_text(figure, median(row.chrony)),
             text(median(row.measured)), text(row.worst()), limit_text(row),
             row.verdict == GoalVerdict::met      ? "met"
             : row.verdict == GoalVerdict::missed ? "MISSED"
                                                  : "-",
             row.verdict == GoalVerdict::missed || pooled ? "(" + row.worst_in + ")" : "");
}

void print(const std::vector<GoalRow>& rows) {
  fmt::print("{:<76}{:>10}{:>10}{:>10}{:>10}  {:<16}\n", "", "ours", "chrony's", "median", "worst",
             "limit");
  std::string heading;
  for (const GoalRow& row : rows) {
    if (row.measured.empty()) continue;
    if (row.heading() != heading) {
      heading = row.heading();
      fmt::print("{}\n", heading);
    }
    print(row);
  }
}

// The number of rows that are missed and not known to be.
int print_summary(const std::vector<GoalRow>& rows, const Known& known) {
  int met = 0;
  int missed = 0;
  int surprises = 0;
  for (const GoalRow& row : rows) {
    met += row.verdict == GoalVerdict::met ? 1 : 0;
    missed += row.verdict == GoalVerdict::missed ? 1 : 0;
  }
  fmt::print("\n{} goals met, {} MISSED\n", met, missed);
  std::map<std::string, int> unknown;
  for (const GoalRow& row : rows) unknown[row.heading()] += row.measured.empty() ? 1 : 0;
  for (const auto& [what, count] : unknown) {
    if (count > 0)
      fmt::print("not judged, chrony's figure is not known: {}, {} lines\n", what, count);
  }
  for (const GoalRow& row : rows) {
    const auto why = find(known, row.goal.row);
    const bool is_named = why != known.end() && why->first == row.goal.row;
    if (row.verdict == GoalVerdict::met && is_named) {
      fmt::print("met, though said to be missed: {}\n", row.goal.row);
    }
    if (row.verdict != GoalVerdict::missed) continue;
    if (why == known.end()) ++surprises;
    fmt::print("MISSED {}: {}\n", row.goal.row, why == known.end() ? "NEW" : why->second);
  }
  return surprises;
}

bool is_wanted(const Options& options, const std::string& scenario, const Goal& goal) {
  return options.only.empty() || std::ranges::any_of(options.only, [&](const std::string& part) {
           return goal.row.find(part) != std::string::npos || scenario == part;
         });
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view arg = argv[i];
    if (arg == "--seeds") {
      options.seeds = std::strtoull(argv[i + 1], nullptr, 10);
    } else if (arg == "--only") {
      options.only.emplace_back(argv[i + 1]);
    } else if (arg == "--slack") {
      options.slack = std::atof(argv[i + 1]);
    } else if (arg == "--sim") {
      options.folder = argv[i + 1];
    } else {
      return false;
    }
  }
  return argc % 2 == 1 && options.seeds > 0;
}

int command(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    fmt::print(stderr,
               "usage: accuracy [--seeds N] [--only TEXT]... [--slack TIMES] [--sim FOLDER]\n"
               "       --only: rows with this text, or of this scenario\n"
               "       --slack: limits are so many times as wide, for few seeds\n"
               "       --sim: where scenarios/, chrony-*.tsv and missed-goals.tsv are\n");
    return 2;
  }
  const auto begun = std::chrono::steady_clock::now();
  auto worlds = load_scenarios(options.folder + "/scenarios");
  if (!worlds) {
    for (const auto& problem : worlds.error()) fmt::print(stderr, "{}\n", problem);
    return 2;
  }
  PeerFigures peers = read_peer_figures(options.folder + "/chrony-goals.tsv");
  add_condition_figures(read_peer_runs(options.folder + "/chrony-4.3.tsv"), peers);
  const auto conditions = condition_worlds();
  worlds->insert(worlds->begin(), conditions.begin(), conditions.end());
  for (WorldModel& world : *worlds) {
    std::erase_if(world.goals,
                  [&](const Goal& goal) { return !is_wanted(options, world.name, goal); });
  }
  const Outcomes outcomes = run_goals(*worlds, options.seeds);
  const std::vector<GoalRow> rows = evaluate(*worlds, outcomes, peers, options.slack);
  print(rows);
  const int surprises = print_summary(rows, read_known(options.folder + "/missed-goals.tsv"));
  for (const auto& what : broken_bounds(*worlds, outcomes)) fmt::print("bound: {}\n", what);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  fmt::print("{} seeds, {:.0f} s\n", options.seeds, took.count());
  return surprises > 0 || rows.empty() ? 1 : 0;
}

}  // namespace
}  // namespace ntp::sim

int main(int argc, char** argv) { return ntp::sim::command(argc, argv); }

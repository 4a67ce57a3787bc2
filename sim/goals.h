// The goals of the clock, measured with whole machines in simulated worlds (world.h): what each
// came to with every seed, and whether that is enough.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "sim/figures.h"
#include "sim/peers.h"
#include "sim/world_model.h"

namespace ntp::sim {

// Worlds of one source for each condition of scenarios.h, with what is wanted of them beside
// chrony: "c1-64" and "c1-16", asked every so many seconds, and "c1-default".
std::vector<WorldModel> condition_worlds();
// The peer's runs as figures of those worlds.
void add_condition_figures(const PeerRuns& runs, PeerFigures& figures);

// By scenario, an outcome for each seed from 1 on.
using Outcomes = std::map<std::string, std::vector<Outcome>>;
// Runs those that have goals and those that they are compared with, in as many threads as there are
// processors.
Outcomes run_goals(const std::vector<WorldModel>& worlds, std::uint64_t seeds);

enum class GoalVerdict : std::uint8_t {
  met,
  missed,
  open,  // there is no limit
};

struct GoalRow {
  Goal goal{};
  std::vector<double> ours{};      // before any division
  std::vector<double> measured{};  // what has the limits; empty: nothing to compare with
  std::string worst_in{};          // "c1-64 seed 3"
  std::vector<double> chrony{};
  GoalVerdict verdict = GoalVerdict::open;

  std::string heading() const;  // its words before ": " …
  std::string name() const;     // … and after
  bool is_ratio() const;
  double worst() const;
};

// In the order of the scenarios, but rows with the same words before ": " stand together, and those
// of the bound's coverage come last. `slack`: limits of the median and of the worst are so many
// times as wide, for runs with few seeds.
std::vector<GoalRow> evaluate(const std::vector<WorldModel>& worlds, const Outcomes& outcomes,
                              const PeerFigures& peers, double slack = 1);

// Every run with a goal for its bound in which that was broken, in words.
std::vector<std::string> broken_bounds(const std::vector<WorldModel>& worlds,
                                       const Outcomes& outcomes);

std::string value_text(const std::string& figure, double value);

}  // namespace ntp::sim

#include "sim/goals.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

#include "base/check.h"
#include "sim/scenarios.h"

namespace ntp::sim {
namespace {

constexpr double kLength_s = 200'000;
constexpr double kFrom_s = 40'000;
constexpr double kWan_s = 1e-3;  // a longer way is no LAN
// Those that the goals of the RMS error name; the others are conditions that nobody tuned for.
constexpr std::string_view kNamed[] = {"a", "b", "c1", "c2", "c3", "d", "e", "e2", "f"};

const WorldModel& find(const std::vector<WorldModel>& worlds, const std::string& name) {
  const auto found = std::ranges::find(worlds, name, &WorldModel::name);
  NTP_CHECK(found != worlds.end());  // the scenarios' reader has looked
  return *found;
}

const Figures& figures_of(const Outcome& outcome, const std::string& machine) {
  const auto found = std::ranges::find(outcome.machines, machine, &Figures::name);
  return found == outcome.machines.end() ? outcome.figures() : *found;
}

double value_in(const Outcome& outcome, const std::string& machine, const std::string& figure) {
  return value_of(figures_of(outcome, machine), figure).value_or(NAN);
}

GoalRow& row_of(std::vector<GoalRow>& rows, const Goal& goal) {
  const auto same = std::ranges::find(rows, goal.row, [](const GoalRow& r) { return r.goal.row; });
  if (same != rows.end()) return *same;
  auto place = rows.end();
  while (place != rows.begin() && (place - 1)->heading() != GoalRow{.goal = goal}.heading())
    --place;
  if (place == rows.begin()) place = rows.end();
  return *rows.insert(place, GoalRow{.goal = goal});
}

// What a value is divided by; empty: there is no such figure of the peer's.
std::optional<double> divisor(const Goal& goal, const std::string& world, std::size_t seed,
                              const Outcomes& outcomes, const std::vector<double>& chrony) {
  if (goal.of == "chrony") {
    return chrony.empty() ? std::nullopt : std::optional(median(chrony));
  }
  const auto& other = outcomes.at(goal.of.empty() ? world : goal.of)[seed];
  return value_in(other, goal.of_machine, goal.of_figure.empty() ? goal.figure : goal.of_figure);
}

void take(const WorldModel& world, const Goal& goal, const Outcomes& outcomes,
          const PeerFigures& peers, GoalRow& row) {
  const std::string key = goal.chrony.empty() ? world.name : goal.chrony;
  if (const auto found = peers.find({key, goal.figure}); found != peers.end()) {
    row.chrony = found->second;
  }
  const auto& runs = outcomes.at(world.name);
  for (std::size_t seed = 0; seed < runs.size(); ++seed) {
    double value = value_in(runs[seed], goal.machine, goal.figure);
    row.ours.push_back(value);
    if (row.is_ratio()) {
      const auto by = divisor(goal, world.name, seed, outcomes, row.chrony);
      if (!by) continue;
      value /= *by;
    }
    const bool first = row.measured.empty();
    const double worst = row.worst();
    row.measured.push_back(value);
    if (first || row.worst() != worst) {
      row.worst_in = fmt::format("{} seed {}", world.name, seed + 1);
    }
  }
}

bool is_of_bound(const Goal& goal) { return goal.figure.find("coverage") != std::string::npos; }

GoalVerdict judge(const GoalRow& row, double slack) {
  const Goal& goal = row.goal;
  if (row.measured.empty() || !(goal.at_most || goal.worst_at_most || goal.at_least)) {
    return GoalVerdict::open;
  }
  const bool fine = (!goal.at_most || median(row.measured) <= slack * *goal.at_most) &&
                    (!goal.worst_at_most || row.worst() <= slack * *goal.worst_at_most) &&
                    (!goal.at_least || row.worst() >= *goal.at_least);
  return fine ? GoalVerdict::met : GoalVerdict::missed;
}

std::vector<Goal> fixed_poll_goals(const Scenario& scenario, int poll_s) {
  const bool named = std::ranges::find(kNamed, scenario.name) != std::end(kNamed);
  const auto row = [&](const char* what) {
    return fmt::format("{} / chrony's, both at {} s: {}, {}", what, poll_s, scenario.name,
                       scenario.what);
  };
  return {
      {.row = row("RMS error"),
       .of = "chrony",
       .at_most = named ? 0.7 : 0.9,
       .worst_at_most = named ? 0.8 : 1.0},
      {.row = row("largest error"), .figure = "max_s", .of = "chrony", .at_most = 0.8},
      {.row = row("RMS error of the rate"), .figure = "rate_rms", .of = "chrony", .at_most = 1.0},
      {.row = row("median bound"), .figure = "median_bound_s", .of = "chrony", .at_most = 2.0},
      {.row = fmt::format("bound held: all conditions, {} s polls", poll_s),
       .figure = "coverage",
       .at_least = 0.9999},
  };
}

std::vector<Goal> default_poll_goals(const Scenario& scenario) {
  const bool is_wan = scenario.link.up.minimum_s >= kWan_s;
  const auto row = [&](const char* heading) {
    return fmt::format("{}: {}, {}", heading, scenario.name, scenario.what);
  };
  return {
      {.row = row("default polls, RMS error / chrony's"),
       .of = "chrony",
       .at_most = is_wan ? 0.4 : 1.0},
      {.row = row("default polls, questions / chrony's"),
       .figure = "questions",
       .of = "chrony",
       .at_most = is_wan ? std::optional(1.0) : std::nullopt},
      {.row = row("default polls, RMS error / with 64 s polls"), .of = scenario.name + "-64"},
      {.row = "bound held: all conditions, default polls",
       .figure = "coverage",
       .at_least = 0.9999},
  };
}

WorldModel condition_world(const Scenario& scenario, const std::string& polls) {
  MachineModel us{.clock = scenario.oscillator};
  us.ask.of = {"s1"};
  return {.name = scenario.name + "-" + polls,
          .what = scenario.what,
          .length_s = kLength_s,
          .from_s = kFrom_s,
          .link = scenario.link,
          .servers = {{.name = "s1"}},
          .machines = {us}};
}

}  // namespace

std::vector<WorldModel> condition_worlds() {
  std::vector<WorldModel> worlds;
  for (const int poll : {6, 4}) {
    for (const Scenario& scenario : scenarios()) {
      WorldModel world = condition_world(scenario, fmt::to_string(1 << poll));
      world.machines[0].ask.options.minpoll = world.machines[0].ask.options.maxpoll = poll;
      world.goals = fixed_poll_goals(scenario, 1 << poll);
      worlds.push_back(std::move(world));
    }
  }
  for (const Scenario& scenario : scenarios()) {
    worlds.push_back(condition_world(scenario, "default"));
    worlds.back().goals = default_poll_goals(scenario);
  }
  return worlds;
}

void add_condition_figures(const PeerRuns& runs, PeerFigures& figures) {
  for (const auto& [of, seeds] : runs) {
    const std::string poll = of.second == 0 ? "default" : fmt::to_string(of.second);
    const std::string key = of.first + "-" + poll;
    for (const PeerRun& run : seeds) {
      figures[{key, "rms_s"}].push_back(run.rms_s);
      figures[{key, "max_s"}].push_back(run.max_s);
      figures[{key, "rate_rms"}].push_back(run.rate_rms);
      if (run.questions) figures[{key, "questions"}].push_back(*run.questions);
      if (run.median_bound_s) figures[{key, "median_bound_s"}].push_back(*run.median_bound_s);
    }
  }
}

Outcomes run_goals(const std::vector<WorldModel>& worlds, std::uint64_t seeds) {
  std::set<std::string> wanted;
  for (const WorldModel& world : worlds) {
    for (const Goal& goal : world.goals) {
      wanted.insert(world.name);
      if (!goal.of.empty() && goal.of != "chrony") wanted.insert(goal.of);
    }
  }
  Outcomes outcomes;
  std::vector<std::pair<const WorldModel*, std::uint64_t>> jobs;
  for (const std::string& name : wanted) {
    outcomes[name].resize(seeds);
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
      jobs.emplace_back(&find(worlds, name), seed);
  }
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < jobs.size(); at = next++) {
        const auto& [world, seed] = jobs[at];
        outcomes.at(world->name)[seed - 1] = run(*world, seed);
      }
    });
  }
  threads.clear();
  return outcomes;
}

bool GoalRow::is_ratio() const {
  return !goal.of.empty() || !goal.of_machine.empty() || !goal.of_figure.empty();
}

std::string GoalRow::heading() const { return goal.row.substr(0, goal.row.find(": ")); }

std::string GoalRow::name() const {
  const auto colon = goal.row.find(": ");
  return colon == std::string::npos ? goal.row : goal.row.substr(colon + 2);
}

double GoalRow::worst() const {
  if (measured.empty()) return 0;
  return goal.at_least ? *std::ranges::min_element(measured) : largest(measured);
}

std::vector<GoalRow> evaluate(const std::vector<WorldModel>& worlds, const Outcomes& outcomes,
                              const PeerFigures& peers, double slack) {
  std::vector<GoalRow> rows;
  for (const WorldModel& world : worlds) {
    for (const Goal& goal : world.goals) {
      take(world, goal, outcomes, peers, row_of(rows, goal));
    }
  }
  std::ranges::stable_partition(rows, [](const GoalRow& row) { return !is_of_bound(row.goal); });
  for (GoalRow& row : rows) row.verdict = judge(row, slack);
  return rows;
}

std::vector<std::string> broken_bounds(const std::vector<WorldModel>& worlds,
                                       const Outcomes& outcomes) {
  std::vector<std::string> out;
  for (const WorldModel& world : worlds) {
    if (std::ranges::none_of(world.goals, is_of_bound)) continue;
    const auto& runs = outcomes.at(world.name);
    for (std::size_t seed = 0; seed < runs.size(); ++seed) {
      for (const Figures& f : runs[seed].machines) {
        if (!f.first_beyond) continue;
        out.push_back(fmt::format(
            "{} seed {}: held in {:.6f} of the seconds, first broken at "
            "{:.0f} s: {} over {}",
            world.name, seed + 1, f.coverage, f.first_beyond->at_s,
            time_text(std::fabs(f.first_beyond->error_s)), time_text(f.first_beyond->bound_s)));
      }
    }
  }
  return out;
}

std::string value_text(const std::string& figure, double value) {
  if (figure.ends_with("_s")) return time_text(value);
  if (figure == "rate_rms") {
    return value < 1e-6 ? fmt::format("{:.3g} ppb", value * 1e9)
                        : fmt::format("{:.3g} ppm", value * 1e6);
  }
  if (figure == "questions" || figure == "ends_synchronised") return fmt::format("{:.0f}", value);
  return fmt::format("{:.6f}", value);
}

}  // namespace ntp::sim

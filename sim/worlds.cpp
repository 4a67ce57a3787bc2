// ./dev sim: one scenario as a table, or all of them a line each.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sim/figures.h"
#include "sim/plot.h"
#include "sim/scenario_file.h"

namespace ntp::sim {
namespace {

struct Options {
  std::vector<std::string> names{};
  bool all = false;
  bool list = false;
  std::uint64_t seed = 1;
  std::uint64_t seeds = 1;
  double first_s = 0;  // only so much of each run, and only the bound is judged; 0: all of it
  std::string plot{};
  std::string folder = NTP_SCENARIOS;
};

using Worlds = std::vector<WorldModel>;

const WorldModel& find(const Worlds& worlds, const std::string& name) {
  return *std::ranges::find(worlds, name, &WorldModel::name);
}

struct Judged {
  Outcome outcome{};
  std::vector<std::string> broken{};
};

Judged run_and_judge(const Worlds& worlds, const WorldModel& world, std::uint64_t seed,
                     bool keep_looks = false) {
  Judged out{.outcome = run(world, seed, keep_looks)};
  if (world.limits.than.empty()) {
    out.broken = judge(world, out.outcome, nullptr);
  } else {
    const Outcome than = run(find(worlds, world.limits.than), seed);
    out.broken = judge(world, out.outcome, &than);
  }
  return out;
}

std::string verdicts_text(const Figures& f) {
  std::string out;
  for (const auto& [source, verdict] : f.verdicts) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", source, verdict);
  }
  return out;
}

void print_table(const WorldModel& world, const Outcome& outcome) {
  fmt::print("{}: {}\n{:<10}{:>10}{:>10}{:>10}{:>8}{:>9}{:>10}{:>10}{:>9}{:>3}  {}\n", world.name,
             world.what, "machine", "RMS", "max", "bound", "sync", "inside", "converged", "asked",
             "answered", "st", "state");
  for (const Figures& f : outcome.machines) {
    fmt::print("{:<10}{:>10}{:>10}{:>10}{:>8.4f}{:>9.6f}{:>10}{:>10}{:>9}{:>3}  {}: {}\n", f.name,
               time_text(f.rms_s), time_text(f.max_s), time_text(f.median_bound_s), f.synchronised,
               f.coverage, f.converged_s ? fmt::format("{:.0f} s", *f.converged_s) : "never",
               f.questions, f.samples, f.stratum, f.state, f.reason);
    fmt::print("{:<10}{}\n", "", verdicts_text(f));
    if (f.host_max_s == 0) continue;
    fmt::print("{:<10}{:>10}{:>10}  CLOCK_REALTIME, which it leads; converged {}\n", "",
               time_text(f.host_rms_s), time_text(f.host_max_s),
               time_text(f.host_converged_s.value_or(INFINITY)));
  }
}

int show(const Worlds& worlds, const Options& options) {
  int broken = 0;
  for (const std::string& name : options.names) {
    const WorldModel& world = find(worlds, name);
    const Judged judged = run_and_judge(worlds, world, options.seed, !options.plot.empty());
    print_table(world, judged.outcome);
    for (const auto& what : judged.broken) fmt::print("BROKEN: {}\n", what);
    if (!world.known.empty()) fmt::print("known: {}\n", world.known);
    broken += judged.broken.empty() || !world.known.empty() ? 0 : 1;
    if (options.plot.empty()) continue;
    std::ofstream out(options.plot);
    out << svg(world.name, judged.outcome.looks);
    if (!out.flush()) {
      fmt::print(stderr, "worlds: cannot write {}\n", options.plot);
      return 2;
    }
  }
  return broken > 0 ? 1 : 0;
}

// All seeds of one scenario.
struct Line {
  Figures worst{};  // by RMS
  double coverage = 1;
  double synchronised = 1;
  std::vector<std::string> broken{};
};

Line line_of(const Worlds& worlds, WorldModel world, const Options& options) {
  if (options.first_s > 0) {
    world.length_s = std::min(world.length_s, options.first_s);
    world.limits = {.bound = world.limits.bound, .unknowable = world.limits.unknowable};
  }
  Line line;
  for (std::uint64_t seed = options.seed; seed < options.seed + options.seeds; ++seed) {
    const Judged judged = run_and_judge(worlds, world, seed);
    const Figures& f = judged.outcome.figures();
    if (seed == options.seed || f.rms_s > line.worst.rms_s) line.worst = f;
    for (const Figures& each : judged.outcome.machines) {
      line.coverage = std::min(line.coverage, each.coverage);
    }
    line.synchronised = std::min(line.synchronised, f.synchronised);
    for (const auto& what : judged.broken) {
      line.broken.push_back(fmt::format("seed {}: {}", seed, what));
    }
  }
  return line;
}

void print_line(const WorldModel& world, const Line& line) {
  const Figures& f = line.worst;
  const char* verdict = line.broken.empty() ? "ok" : world.known.empty() ? "BROKEN" : "known";
  fmt::print("{:<7}{:<28}{:>10}{:>10}{:>10}{:>8.4f}{:>9.6f}{:>10}{:>7}  {}\n", verdict, world.name,
             time_text(f.rms_s), time_text(f.max_s), time_text(f.median_bound_s), line.synchronised,
             line.coverage, f.converged_s ? fmt::format("{:.0f} s", *f.converged_s) : "never",
             f.questions, f.state);
  for (const auto& what : line.broken) fmt::print("         {}\n", what);
  if (!world.known.empty()) {
    fmt::print("         known: {}{}\n", world.known,
               line.broken.empty() ? " (but all limits hold now)" : "");
  }
  std::fflush(stdout);
}

int show_all(const Worlds& worlds, const Options& options) {
  fmt::print("{:<7}{:<28}{:>10}{:>10}{:>10}{:>8}{:>9}{:>10}{:>7}  {}\n", "", "scenario", "RMS",
             "max", "bound", "sync", "inside", "converged", "asked", "state at the end");
  std::vector<Line> lines(worlds.size());
  std::vector<std::atomic<bool>> done(worlds.size());
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < worlds.size(); at = next++) {
        lines[at] = line_of(worlds, worlds[at], options);
        done[at] = true;
        done[at].notify_one();
      }
    });
  }
  int broken = 0;
  int known = 0;
  for (std::size_t i = 0; i < worlds.size(); ++i) {
    done[i].wait(false);
    print_line(worlds[i], lines[i]);
    if (lines[i].broken.empty()) continue;
    ++(worlds[i].known.empty() ? broken : known);
  }
  fmt::print("{} scenarios, {} seeds: {} broken, {} known to be\n", worlds.size(), options.seeds,
             broken, known);
  return broken > 0 ? 1 : 0;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--all" || arg == "--list") {
      (arg == "--all" ? options.all : options.list) = true;
    } else if (!arg.starts_with("--")) {
      options.names.emplace_back(arg);
    } else if (i + 1 == argc) {
      return false;
    } else if (const char* value = argv[++i]; arg == "--seed") {
      options.seed = std::strtoull(value, nullptr, 10);
    } else if (arg == "--seeds") {
      options.seeds = std::strtoull(value, nullptr, 10);
    } else if (arg == "--first") {
      options.first_s = std::atof(value);
    } else if (arg == "--plot") {
      options.plot = value;
    } else if (arg == "--scenarios") {
      options.folder = value;
    } else {
      return false;
    }
  }
  return options.all || options.list || !options.names.empty();
}

int command(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    fmt::print(stderr,
               "usage: worlds SCENARIO… [--seed N] [--plot FILE.svg]\n"
               "       worlds --all [--seed N] [--seeds N] [--first SECONDS]\n"
               "       worlds --list\n"
               "       (--scenarios FOLDER: others than those of the project)\n");
    return 2;
  }
  const auto worlds = load_scenarios(options.folder);
  if (!worlds) {
    for (const auto& problem : worlds.error()) fmt::print(stderr, "{}\n", problem);
    return 2;
  }
  if (options.list) {
    for (const auto& world : *worlds) fmt::print("{:<28}{}\n", world.name, world.what);
    return 0;
  }
  if (options.all) return show_all(*worlds, options);
  for (const auto& name : options.names) {
    if (std::ranges::find(*worlds, name, &WorldModel::name) != worlds->end()) continue;
    fmt::print(stderr, "worlds: no scenario \"{}\"; see --list\n", name);
    return 2;
  }
  return show(*worlds, options);
}

}  // namespace
}  // namespace ntp::sim

int main(int argc, char** argv) { return ntp::sim::command(argc, argv); }

// What a run came to, and whether that is what its scenario wants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/world.h"
#include "sim/world_model.h"

namespace ntp::sim {

// Of one machine. Seconds in which its process stands still are left out.
struct Figures {
  std::string name{};
  double rms_s = 0;  // of synchronised seconds since from_s
  double max_s = 0;
  double median_bound_s = 0;
  double synchronised = 0;  // share of all seconds
  double coverage = 1;      // share of synchronised seconds in which the bound held
  std::optional<Look> first_beyond{};
  std::optional<double> converged_s{};  // empty: never
  std::uint64_t questions = 0;
  std::uint64_t samples = 0;
  std::string state{};
  std::string reason{};
  int stratum = 16;
  std::map<std::string, std::string> verdicts{};

  friend bool operator==(const Figures&, const Figures&) = default;
};

struct Outcome {
  std::vector<Figures> machines{};
  std::size_t watched = 0;
  double spread_s = 0;        // the most between serving machines since from_s
  std::vector<Look> looks{};  // at the watched machine, where asked for

  const Figures& figures() const { return machines[watched]; }
};

Outcome run(const WorldModel& model, std::uint64_t seed, bool keep_looks = false);

// What is broken, in words. `than` is the outcome of the scenario that limits.than names.
std::vector<std::string> judge(const WorldModel& model, const Outcome& outcome,
                               const Outcome* than);

std::string time_text(double value_s);  // "1.23 ms"

}  // namespace ntp::sim

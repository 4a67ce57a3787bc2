// What a run came to, and whether that is what its scenario wants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
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
  double rate_rms = 0;        // of the raw clock's rate, in the same seconds
  double last_bound_s = 0;    // at the end
  double synchronised = 0;    // share of all seconds
  double coverage = 1;        // share of synchronised seconds in which the bound held
  double coverage_since = 1;  // the same since from_s
  std::optional<Look> first_beyond{};
  std::optional<double> converged_s{};  // empty: never
  // CLOCK_REALTIME where the machine leads it: since from_s, and of the seconds in which the kernel
  // called it synchronised.
  double host_rms_s = 0;
  double host_max_s = 0;
  double host_coverage = 1;
  std::optional<double> host_converged_s{};
  std::uint64_t questions = 0;
  std::uint64_t samples = 0;
  std::string state{};
  std::string reason{};
  int stratum = 16;
  std::map<std::string, std::string> verdicts{};

  friend bool operator==(const Figures&, const Figures&) = default;
};

// By the name that goals have for it; empty: there is no such figure.
std::optional<double> value_of(const Figures& figures, std::string_view name);

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

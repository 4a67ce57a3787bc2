// What a scenario says: machines of ours, servers that are not, what lies between them, what goes
// wrong, and what must hold all the same. Plain values; scenario_file.h reads them, world.h runs
// them. All times are true seconds since the start of the run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "client/source_options.h"
#include "clock/discipline.h"
#include "sim/link.h"
#include "sim/oscillator.h"
#include "sim/span.h"
#include "wire/header.h"

namespace ntp::sim {

// A server that is not ours. It is perfect until lies say otherwise.
struct ServerModel {
  std::string name{};
  int stratum = 1;
  double root_delay_s = 0;
  double root_dispersion_s = 1e-6;
  std::optional<LinkModel> link{};  // to everybody; else the world's
};

// From then until then, one or more servers say something else. Offsets of several lies add up.
struct Lie {
  std::vector<std::string> by{};
  Span when{0, 1e18};
  double offset_s = 0;
  double drift = 0;    // s/s, since the lie began
  double swing_s = 0;  // a sine of this height …
  double swing_period_s = 3600;
  double noise_s = 0;  // Gaussian, each reply
  std::optional<int> stratum{};
  std::optional<wire::Leap> leap{};
  std::optional<double> root_delay_s{};
  std::optional<double> root_dispersion_s{};
  std::string kiss{};    // "RATE", "DENY" …: instead of the time
  double garbage = 0;    // share of the replies that are noise of any length
  int forged = 0;        // strangers' packets around each reply
  bool silent = false;   // no reply at all
  bool no_leap = false;  // goes on counting where UTC has a leap second
};

// CLOCK_REALTIME: runs with the raw clock until somebody sets it. None of it may matter.
struct HostModel {
  double offset_s = 0;
  std::vector<Step> steps{};
  double slew = 0;  // all the time, s/s
};

// The sources of a machine, as its configuration would have them.
struct AskModel {
  client::SourceOptions options{};  // of each
  std::vector<std::string> of{};    // names of servers and machines; empty: all servers
  std::vector<std::string> prefer{};
  std::vector<std::string> trust{};
  std::vector<std::string> noselect{};
  bool by_name = false;          // through the resolver, a source for each
  int pool = 0;                  // one source for all: a pool of which so many are asked
  std::vector<Span> dns_cuts{};  // the resolver does not answer
};

struct Reload {
  double at_s = 0;
  std::vector<std::string> of{};
};

struct Restart {
  double at_s = 0;
  bool remembers = false;
};

struct MachineModel {
  std::string name = "us";
  OscillatorModel clock{};
  HostModel host{};
  AskModel ask{};
  clock::DisciplinePolicy policy{};
  std::vector<Span> pauses{};  // the process is stopped, its clock is not
  std::vector<Reload> reloads{};
  std::vector<Restart> restarts{};
  bool steer = false;  // leads CLOCK_REALTIME to the served clock
  bool kernel_stamps = true;
  bool knows_itself = true;  // its own addresses, so that loops are seen
};

struct PairModel {
  std::string from{};  // who asks; empty: everybody
  std::string to{};
  LinkModel link{};
  std::vector<Span> no_route{};  // sending fails
};

// A line of the table of goals (goals.h). Lines of the same name in several scenarios are one, of
// all their seeds.
struct Goal {
  std::string row{};
  std::string figure = "rms_s";           // see value_of() in figures.h
  std::string machine{};                  // empty: the one that is looked at
  std::string of{};                       // divided by "chrony"'s, or by that of another scenario …
  std::string of_machine{};               // … or machine …
  std::string of_figure{};                // … or by another figure, all with the same seed
  std::string chrony{};                   // the key in chrony-goals.tsv; empty: the scenario
  std::optional<double> at_most{};        // the median
  std::optional<double> worst_at_most{};  // and every seed
  std::optional<double> at_least{};       // every seed
};

// What must hold, of the machine that is looked at; `bound` holds of every machine.
struct Limits {
  double bound = 1;  // share of synchronised seconds in which the error is within the bound
  std::vector<Span> unknowable{};  // not judged for that: nobody has been told yet
  std::optional<double> rms_s{};
  std::optional<double> max_s{};
  std::optional<double> median_bound_s{};
  std::optional<double> synchronised{};           // share of all seconds, at least
  std::optional<double> synchronised_at_most{};   //
  std::optional<double> converged_s{};            // after `event_s`
  std::optional<int> questions{};                 // at most; 0: any
  std::optional<double> spread_s{};               // between serving machines
  std::string state{};                            // at the end
  std::string reason{};                           // a part of it, at the end
  std::optional<int> stratum{};                   // served at the end; 0: any
  std::map<std::string, std::string> verdicts{};  // on sources, at the end
  std::string than{};                             // a scenario; with the same seed, RMS …
  double ratio = 1.1;                             // … at most so many times that of it
};

struct WorldModel {
  std::string name{};
  std::string what{};
  std::string known{};  // why its limits are broken for now
  std::string file{};
  double length_s = 10'000;
  double from_s = 2'000;    // RMS and maximum are of the seconds since
  double event_s = 0;       // convergence counts from here
  double target_s = 0.001;  // to within this
  RealTime start = RealTime(std::chrono::seconds(1'804'000'000));  // 2027-03-02
  wire::Leap leap = wire::Leap::none;  // a leap second at the midnight after the start
  bool ipv6 = false;
  LinkModel link{};
  std::vector<ServerModel> servers{};
  std::vector<MachineModel> machines{};  // the last one is looked at, unless `watch` names another
  std::string watch{};
  std::vector<PairModel> pairs{};
  std::vector<Lie> lies{};
  Limits limits{};
  std::vector<Goal> goals{};
};

}  // namespace ntp::sim

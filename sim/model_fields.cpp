#include "sim/model_fields.h"

#include <filesystem>
#include <fstream>

#include "sim/figures.h"

namespace ntp::sim {
namespace {

void read_recorded(Reader& r, PathModel& p) {
  std::string name;
  r("recorded", name);
  if (name.empty()) return;
  std::ifstream in(std::filesystem::path(r.file()).parent_path() / name);
  p.recorded.clear();
  for (double delay_s = 0; in >> delay_s;) p.recorded.push_back(delay_s);
  if (p.recorded.empty() || !in.eof()) r.complain(fmt::format("no delays in {}", name));
}

}  // namespace

void fields(Reader& r, Span& s) {
  r("from_s", s.from_s);
  r("length_s", s.length_s);
  r("period_s", s.period_s);
}

void fields(Reader& r, Sine& s) {
  r.scaled("ppm", 1e-6, s.amplitude);
  r("period_s", s.period_s);
  r("phase", s.phase);
}

void fields(Reader& r, Step& s) {
  r("at_s", s.at_s);
  r("offset_s", s.offset_s);
  r.scaled("ppm", 1e-6, s.frequency);
}

void fields(Reader& r, OscillatorModel& m) {
  r.scaled("ppm", 1e-6, m.frequency);
  r("wander", m.wander);
  r("sines", m.sines);
  r("steps", m.steps);
  r("sleeps", m.sleeps);
  for (const Step& step : m.steps) {
    if (step.offset_s < 0) r.complain("a raw clock never goes back");
  }
}

void fields(Reader& r, Jitter& j) {
  r("shape", j.shape);
  r("scale_s", j.scale_s);
  r("probability", j.probability);
}

void fields(Reader& r, Queue& q) {
  r("period_s", q.period_s);
  r("from_s", q.from_s);
  r("length_s", q.length_s);
  r("rises_and_falls", q.rises_and_falls);
  r("level_s", q.level_s);
  r("jitter", q.jitter);
}

void fields(Reader& r, Route& route) {
  r("from_s", route.from_s);
  r("added_s", route.added_s);
}

void fields(Reader& r, PathModel& p) {
  r("minimum_s", p.minimum_s);
  double jitter_s = -1;
  r("jitter_s", jitter_s);
  if (jitter_s >= 0) p.jitters = {{.scale_s = jitter_s}};
  r("jitters", p.jitters);
  r("queues", p.queues);
  r("routes", p.routes);
  r("loss", p.loss);
  r("duplicates", p.duplicates);
  r("late", p.late);
  r("late_s", p.late_s);
  r("cuts", p.cuts);
  read_recorded(r, p);
}

// What stands beside `up` and `down` is of both.
void fields(Reader& r, LinkModel& link) {
  fields(r, link.up);
  fields(r, link.down);
  r("up", link.up);
  r("down", link.down);
}

void fields(Reader& r, HostModel& host) {
  r("offset_s", host.offset_s);
  r("steps", host.steps);
  r.scaled("slew_ppm", 1e-6, host.slew);
}

void fields(Reader& r, AskModel& ask) {
  r("of", ask.of);
  r("minpoll", ask.options.minpoll);
  r("maxpoll", ask.options.maxpoll);
  r("iburst", ask.options.iburst);
  r("version", ask.options.version);
  double max_delay_s = seconds(ask.options.max_delay);
  r("max_delay_s", max_delay_s);
  ask.options.max_delay = std::chrono::nanoseconds(static_cast<std::int64_t>(max_delay_s * 1e9));
  r("prefer", ask.prefer);
  r("trust", ask.trust);
  r("noselect", ask.noselect);
  r("by_name", ask.by_name);
  r("pool", ask.pool);
  r("dns_cuts", ask.dns_cuts);
}

void fields(Reader& r, clock::DisciplinePolicy& policy) {
  r("minsources", policy.selection.minsources);
  r("max_root_distance_s", policy.max_root_distance_s);
  policy.selection.max_distance_s = policy.max_root_distance_s;
  bool local = policy.unsynchronised == clock::Unsynchronised::local;
  bool orphan = policy.unsynchronised == clock::Unsynchronised::orphan;
  r("local", local);
  r("orphan", orphan);
  policy.unsynchronised = orphan  ? clock::Unsynchronised::orphan
                          : local ? clock::Unsynchronised::local
                                  : clock::Unsynchronised::refuse;
  r("local_stratum", policy.local_stratum);
  r("local_wait_s", policy.local_wait_s);
  r("orphan_wait_s", policy.orphan_wait_s);
  r("quorum_grace_s", policy.quorum_grace_s);
}

void fields(Reader& r, Reload& reload) {
  r("at_s", reload.at_s);
  r("of", reload.of);
}

void fields(Reader& r, Restart& restart) {
  r("at_s", restart.at_s);
  r("remembers", restart.remembers);
}

void machine_fields(Reader& r, MachineModel& m) {
  r("clock", m.clock);
  r("host", m.host);
  r("ask", m.ask);
  r("policy", m.policy);
  r("pauses", m.pauses);
  r("reloads", m.reloads);
  r("restarts", m.restarts);
  r("steer", m.steer);
  r("kernel_stamps", m.kernel_stamps);
  r("knows_itself", m.knows_itself);
}

void fields(Reader& r, Lie& lie) {
  r("by", lie.by);
  r("from_s", lie.when.from_s);
  r("length_s", lie.when.length_s);
  r("period_s", lie.when.period_s);
  r("offset_s", lie.offset_s);
  r.scaled("drift_ppm", 1e-6, lie.drift);
  r("swing_s", lie.swing_s);
  r("swing_period_s", lie.swing_period_s);
  r("noise_s", lie.noise_s);
  r("stratum", lie.stratum);
  r("leap", lie.leap);
  r("root_delay_s", lie.root_delay_s);
  r("root_dispersion_s", lie.root_dispersion_s);
  r("kiss", lie.kiss);
  if (!lie.kiss.empty() && lie.kiss.size() != 4) r.complain("a kiss code has four letters");
  r("garbage", lie.garbage);
  r("forged", lie.forged);
  r("silent", lie.silent);
  r("no_leap", lie.no_leap);
}

void fields(Reader& r, Limits& limits) {
  r("bound", limits.bound);
  r("unknowable", limits.unknowable);
  r("rms_s", limits.rms_s);
  r("max_s", limits.max_s);
  r("median_bound_s", limits.median_bound_s);
  r("synchronised", limits.synchronised);
  r("synchronised_at_most", limits.synchronised_at_most);
  r("converged_s", limits.converged_s);
  r("questions", limits.questions);
  r("spread_s", limits.spread_s);
  r("state", limits.state);
  r("reason", limits.reason);
  r("stratum", limits.stratum);
  r("verdicts", limits.verdicts);
  r("than", limits.than);
  r("ratio", limits.ratio);
}

void fields(Reader& r, Goal& goal) {
  r("row", goal.row);
  r("figure", goal.figure);
  r("machine", goal.machine);
  r("of", goal.of);
  r("of_machine", goal.of_machine);
  r("of_figure", goal.of_figure);
  r("chrony", goal.chrony);
  r("at_most", goal.at_most);
  r("worst_at_most", goal.worst_at_most);
  r("at_least", goal.at_least);
  const auto known = [](const std::string& figure) { return value_of({}, figure).has_value(); };
  if (!known(goal.figure)) r.complain(fmt::format("no figure \"{}\"", goal.figure));
  if (!goal.of_figure.empty() && !known(goal.of_figure)) {
    r.complain(fmt::format("no figure \"{}\"", goal.of_figure));
  }
}

}  // namespace ntp::sim

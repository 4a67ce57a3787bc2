#include "sim/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace ntp::sim {
namespace {

double share(std::uint64_t part, std::uint64_t of) {
  return of == 0 ? 0 : static_cast<double>(part) / static_cast<double>(of);
}

// Of one clock, second by second.
struct Errors {
  double squares = 0;
  double max_s = 0;
  std::uint64_t synchronised = 0;
  std::uint64_t covered = 0;
  std::uint64_t judged = 0;  // synchronised since from_s
  std::uint64_t judged_covered = 0;
  double last_bad_s = -1;

  // False: beyond its bound.
  bool add(double at_s, bool is_synchronised, double error, double bound_s,
           const WorldModel& model) {
    const double error_s = std::fabs(error);
    if (!is_synchronised || error_s > model.target_s) last_bad_s = at_s;
    if (!is_synchronised) return true;
    const bool inside = error_s <= bound_s || within(model.limits.unknowable, at_s);
    ++synchronised;
    covered += inside ? 1 : 0;
    if (at_s < model.from_s) return inside;
    ++judged;
    judged_covered += inside ? 1 : 0;
    squares += error_s * error_s;
    max_s = std::max(max_s, error_s);
    return inside;
  }
  double rms_s() const {
    return std::sqrt(judged == 0 ? 0 : squares / static_cast<double>(judged));
  }
  double coverage() const { return synchronised == 0 ? 1 : share(covered, synchronised); }
  double coverage_since() const { return judged == 0 ? 1 : share(judged_covered, judged); }
  std::optional<double> converged_s(double last_s, double event_s) const {
    if (last_bad_s >= last_s) return std::nullopt;
    return std::max(0.0, last_bad_s + 0.5 - event_s);
  }
};

struct Tally {
  Errors served{};
  Errors host{};
  double rate_squares = 0;
  std::vector<double> bounds{};
  std::uint64_t seconds = 0;
  std::optional<Look> first_beyond{};
  double last_s = 0;
  double last_bound_s = 0;

  void add(const Look& look, const WorldModel& model) {
    if (!look.runs) return;
    last_s = look.at_s;
    last_bound_s = look.bound_s;
    ++seconds;
    host.add(look.at_s, look.host_synchronised, look.host_error_s, look.host_bound_s, model);
    if (!served.add(look.at_s, look.synchronised, look.error_s, look.bound_s, model) &&
        !first_beyond) {
      first_beyond = look;
    }
    if (!look.synchronised || look.at_s < model.from_s) return;
    const double rate_error = look.rate - look.true_rate;
    rate_squares += rate_error * rate_error;
    bounds.push_back(look.bound_s);
  }

  void into(Figures& figures, double event_s) {
    figures.rms_s = served.rms_s();
    figures.max_s = served.max_s;
    figures.synchronised = share(served.synchronised, seconds);
    figures.coverage = served.coverage();
    figures.coverage_since = served.coverage_since();
    figures.first_beyond = first_beyond;
    figures.converged_s = served.converged_s(last_s, event_s);
    figures.host_rms_s = host.rms_s();
    figures.host_max_s = host.max_s;
    figures.host_coverage = host.coverage();
    figures.host_converged_s = host.converged_s(last_s, event_s);
    figures.last_bound_s = last_bound_s;
    if (bounds.empty()) return;
    figures.rate_rms = std::sqrt(rate_squares / static_cast<double>(bounds.size()));
    const auto middle = bounds.begin() + static_cast<std::ptrdiff_t>(bounds.size() / 2);
    std::ranges::nth_element(bounds, middle);
    figures.median_bound_s = *middle;
  }
};

void describe(const World& world, const Machine& machine, double at_s, Figures& figures) {
  const clock::Decision& decision = machine.client().decision();
  figures.name = machine.model().name;
  figures.state = clock::kClockStateNames[static_cast<std::size_t>(decision.state)];
  figures.reason = decision.reason;
  figures.stratum = decision.server.stratum;
  for (const client::Tracked& source : machine.client().tracked(machine.raw(at_s))) {
    figures.questions += source.association.questions;
    figures.samples += source.association.samples;
    figures.verdicts[world.name_of(source.association.address.address)] =
        clock::kStandingNames[static_cast<std::size_t>(source.verdict.standing)];
  }
}

// How far apart the serving machines are, second by second.
class Spread {
 public:
  void add(std::size_t machine, const Look& look, double from_s) {
    if (machine == 0) low_ = high_ = std::nullopt;
    if (!look.serving || !look.runs || look.at_s < from_s) return;
    low_ = std::min(low_.value_or(look.error_s), look.error_s);
    high_ = std::max(high_.value_or(look.error_s), look.error_s);
    most_s_ = std::max(most_s_, *high_ - *low_);
  }
  double most_s() const noexcept { return most_s_; }

 private:
  std::optional<double> low_{};
  std::optional<double> high_{};
  double most_s_ = 0;
};

class Judge {
 public:
  std::vector<std::string> broken{};

  void at_most(const char* what, double is, const std::optional<double>& limit) {
    if (limit && !(is <= *limit)) {
      broken.push_back(fmt::format("{} {} over {}", what, time_text(is), time_text(*limit)));
    }
  }
  void same(const char* what, const std::string& is, const std::string& wanted) {
    if (!wanted.empty() && is != wanted) {
      broken.push_back(fmt::format("{} {}, not {}", what, is.empty() ? "none" : is, wanted));
    }
  }
};

}  // namespace

std::optional<double> value_of(const Figures& f, std::string_view name) {
  const bool knows = f.state == "synchronised" || f.state == "holdover";
  const std::array<std::pair<std::string_view, double>, 15> all{{
      {"rms_s", f.rms_s},
      {"max_s", f.max_s},
      {"rate_rms", f.rate_rms},
      {"median_bound_s", f.median_bound_s},
      {"last_bound_s", f.last_bound_s},
      {"synchronised", f.synchronised},
      {"coverage", f.coverage},
      {"coverage_since", f.coverage_since},
      {"converged_s", f.converged_s.value_or(INFINITY)},
      {"questions", static_cast<double>(f.questions)},
      {"ends_synchronised", knows ? 1.0 : 0.0},
      {"host_rms_s", f.host_rms_s},
      {"host_max_s", f.host_max_s},
      {"host_coverage", f.host_coverage},
      {"host_converged_s", f.host_converged_s.value_or(INFINITY)},
  }};
  const auto found = std::ranges::find(all, name, &std::pair<std::string_view, double>::first);
  return found == all.end() ? std::nullopt : std::optional(found->second);
}

Outcome run(const WorldModel& model, std::uint64_t seed, bool keep_looks) {
  World world(model, seed);
  Outcome out;
  out.watched = model.machines.size() - 1;
  for (std::size_t i = 0; i < model.machines.size(); ++i) {
    if (model.machines[i].name == model.watch) out.watched = i;
  }
  std::vector<Tally> tallies(model.machines.size());
  Spread spread;
  world.run([&](std::size_t machine, const Look& look) {
    tallies[machine].add(look, model);
    spread.add(machine, look, model.from_s);
    if (keep_looks && machine == out.watched) out.looks.push_back(look);
  });
  out.spread_s = spread.most_s();
  for (std::size_t i = 0; i < model.machines.size(); ++i) {
    Figures figures;
    describe(world, world.machines()[i], model.length_s - 0.5, figures);
    tallies[i].into(figures, model.event_s);
    out.machines.push_back(std::move(figures));
  }
  return out;
}

std::vector<std::string> judge(const WorldModel& model, const Outcome& outcome,
                               const Outcome* than) {
  const Limits& limits = model.limits;
  const Figures& f = outcome.figures();
  Judge judge;
  for (const Figures& machine : outcome.machines) {
    if (machine.coverage >= limits.bound) continue;
    const Look& look = *machine.first_beyond;
    judge.broken.push_back(
        fmt::format("the bound of {} held in {:.6f} of the seconds; first at {:.0f} s: {} over {}",
                    machine.name, machine.coverage, look.at_s, time_text(look.error_s),
                    time_text(look.bound_s)));
  }
  judge.at_most("RMS", f.rms_s, limits.rms_s);
  judge.at_most("maximum", f.max_s, limits.max_s);
  judge.at_most("median bound", f.median_bound_s, limits.median_bound_s);
  judge.at_most("spread", outcome.spread_s, limits.spread_s);
  if (limits.converged_s) {
    judge.at_most("convergence", f.converged_s.value_or(INFINITY), limits.converged_s);
  }
  if (limits.synchronised && f.synchronised < *limits.synchronised) {
    judge.broken.push_back(
        fmt::format("synchronised for {:.4f}, not {}", f.synchronised, *limits.synchronised));
  }
  if (limits.synchronised_at_most && f.synchronised > *limits.synchronised_at_most) {
    judge.broken.push_back(fmt::format("synchronised for {:.4f}, over {}", f.synchronised,
                                       *limits.synchronised_at_most));
  }
  if (limits.questions.value_or(0) != 0 &&
      f.questions > static_cast<std::uint64_t>(*limits.questions)) {
    judge.broken.push_back(fmt::format("{} questions, over {}", f.questions, *limits.questions));
  }
  judge.same("state", f.state, limits.state);
  if (limits.stratum.value_or(0) != 0) {
    judge.same("stratum", fmt::to_string(f.stratum), fmt::to_string(*limits.stratum));
  }
  if (f.reason.find(limits.reason) == std::string::npos) {
    judge.broken.push_back(fmt::format("reason \"{}\" without \"{}\"", f.reason, limits.reason));
  }
  for (const auto& [source, wanted] : limits.verdicts) {
    const auto found = f.verdicts.find(source);
    judge.same(source.c_str(), found == f.verdicts.end() ? "" : found->second, wanted);
  }
  if (than != nullptr && f.rms_s > limits.ratio * than->figures().rms_s) {
    judge.broken.push_back(fmt::format("RMS {} over {} times {} of {}", time_text(f.rms_s),
                                       limits.ratio, time_text(than->figures().rms_s),
                                       limits.than));
  }
  return judge.broken;
}

std::string time_text(double value_s) {
  const double size = std::fabs(value_s);
  if (!std::isfinite(value_s)) return "never";
  if (size >= 1) return fmt::format("{:.4g} s", value_s);
  if (size >= 1e-3) return fmt::format("{:.3g} ms", value_s * 1e3);
  return fmt::format("{:.3g} us", value_s * 1e6);
}

}  // namespace ntp::sim

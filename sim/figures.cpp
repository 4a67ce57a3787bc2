#include "sim/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntp::sim {
namespace {

struct Tally {
  double squares = 0;
  double max_s = 0;
  std::vector<double> bounds{};
  std::uint64_t judged = 0;
  std::uint64_t seconds = 0;
  std::uint64_t synchronised = 0;
  std::uint64_t covered = 0;
  std::optional<Look> first_beyond{};
  double last_bad_s = -1;
  double last_s = 0;

  void add(const Look& look, const WorldModel& model) {
    if (!look.runs) return;
    const double error_s = std::fabs(look.error_s);
    last_s = look.at_s;
    ++seconds;
    if (!look.synchronised || error_s > model.target_s) last_bad_s = look.at_s;
    if (!look.synchronised) return;
    ++synchronised;
    if (error_s <= look.bound_s) {
      ++covered;
    } else if (!first_beyond) {
      first_beyond = look;
    }
    if (look.at_s < model.from_s) return;
    ++judged;
    squares += error_s * error_s;
    max_s = std::max(max_s, error_s);
    bounds.push_back(look.bound_s);
  }

  void into(Figures& figures, double event_s) {
    const auto share = [](std::uint64_t part, std::uint64_t of) {
      return of == 0 ? 0 : static_cast<double>(part) / static_cast<double>(of);
    };
    if (judged > 0) figures.rms_s = std::sqrt(squares / static_cast<double>(judged));
    figures.max_s = max_s;
    figures.synchronised = share(synchronised, seconds);
    figures.coverage = synchronised == 0 ? 1 : share(covered, synchronised);
    figures.first_beyond = first_beyond;
    if (last_bad_s < last_s) figures.converged_s = std::max(0.0, last_bad_s + 0.5 - event_s);
    if (bounds.empty()) return;
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

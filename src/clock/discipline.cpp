#include "clock/discipline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntp::clock {
namespace {

using std::chrono::nanoseconds;

// A server that slews its leap second away at the usual 83,333 ppm needs twelve seconds for it.
constexpr std::chrono::seconds kQuietBefore{5};
constexpr std::chrono::seconds kQuietAfter{20};
// LOCL is its own reference; this stands for the reading of it.
constexpr double kLocalDispersion_s = 0.001;

nanoseconds to_ns(double value_s) noexcept { return nanoseconds(std::llround(value_s * 1e9)); }

// Bounds grow convexly: a chord over the life of a state lies above all that is between.
double chord(double now_s, double later_s) noexcept {
  return std::max(0.0, (later_s - now_s) / seconds(server::kStateLifetime));
}

bool is_kept_by_policy(const Candidate& c, RawTime awake_since) noexcept {
  return c.reachable && !c.loop && !c.options.noselect && c.leap != wire::Leap::unknown &&
         c.estimate.at >= awake_since;
}

}  // namespace

Decision Discipline::update(const Moment& now, std::span<const Candidate> candidates,
                            const DisciplinePolicy& policy, const LeapTable* table) {
  Decision out;
  out.slept = notice_sleep(now);
  out.leapt = pass_leap(now.raw);
  if (!before_) lost_ = now.raw;
  before_ = now;
  const std::vector<Candidate> sources = with_history(candidates);
  SelectionPolicy rules = policy.selection;
  if (policy.orphan && policy.local_stratum > 0) {
    rules.max_stratum = std::min<std::uint8_t>(rules.max_stratum,
                                               static_cast<std::uint8_t>(policy.local_stratum - 1));
  }
  out.selection = select(now.raw, sources, rules, kept(now.raw));
  if (out.selection.outcome == Outcome::selected) {
    held_ = combiner_.combine(now.raw, sources, out.selection);
    running_ = held_->clock;
    formed_by_ = out.selection.agreeing;
    votes_ = {};
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (!is_truechimer(out.selection.verdicts[i].standing)) continue;
      votes_.all += 1;
      votes_.insert += sources[i].leap == wire::Leap::insert ? 1 : 0;
      votes_.remove += sources[i].leap == wire::Leap::remove ? 1 : 0;
    }
  }
  Judgement judgement = judge(now.raw, out.selection, policy);
  out.synchronised =
      judgement.state == ClockState::synchronised || judgement.state == ClockState::holdover;
  out.server.precision = static_cast<std::int8_t>(precision_);
  out.server.at = now.raw;
  out.server.boot_lead = now.boot_lead;
  if (out.synchronised) {
    lost_.reset();
    serve_kept(now, out);
  } else {
    if (!lost_) lost_ = now.raw;
    fall_back(now, sources, policy, judgement, out);
  }
  out.state = judgement.state;
  out.reason = std::move(judgement.reason);
  out.served.map = map_at(now);
  plan_leap(now.raw, table, out);
  out.base = base_;
  if (running_) out.clock = running_->at_time(now.raw);
  const bool near_leap = base_.step_at != RawTime::max() && now.raw + kQuietBefore >= base_.step_at;
  out.hold_samples = near_leap || now.raw < quiet_until_;
  last_ = out.selection.verdicts;
  const double reference_s = seconds(out.served.map.real - base_.map(now.raw));
  for (const Verdict& v : last_) out.verdicts.push_back(rebased(v, reference_s));
  return out;
}

// What was measured before a sleep says nothing: the raw clock stood still for an unknown time.
bool Discipline::notice_sleep(const Moment& now) {
  if (!before_) return false;
  const nanoseconds gained = now.boot_lead - before_->boot_lead;
  if (!server::slept(gained, now.raw - before_->raw)) return false;
  combiner_.restart();
  held_.reset();
  running_.reset();
  last_.clear();
  planned_.reset();
  base_ = {base_.map};
  votes_ = {};
  doubted_.reset();
  lost_ = awake_since_ = now.raw;
  slept_s_ = seconds(gained);
  return true;
}

// The base steps with the served clock: sources that leap, too, are measured as if nothing had
// been.
bool Discipline::pass_leap(RawTime now) noexcept {
  if (now < base_.step_at) return false;
  ClockMap map = base_.map;
  map.real += base_.step;
  quiet_until_ = base_.step_at + kQuietAfter;
  base_ = {map};
  if (planned_) leapt_at_ = planned_->midnight;
  planned_.reset();
  return true;
}

std::vector<Candidate> Discipline::with_history(std::span<const Candidate> candidates) const {
  std::vector<Candidate> sources(candidates.begin(), candidates.end());
  for (Candidate& c : sources) {
    c.last = Standing::waiting;
    for (const Verdict& v : last_) {
      if (v.id == c.id) c.last = v.standing;
    }
    if (c.estimate.at < awake_since_) c.samples = 0;
  }
  return sources;
}

double Discipline::bound_s(RawTime when) const noexcept {
  return held_->root_delay_s / 2 + root_dispersion_s(*held_, when) + std::exp2(precision_);
}

std::optional<KeptClock> Discipline::kept(RawTime now) const noexcept {
  if (!held_) return std::nullopt;
  const double offset_s = held_->clock.at_time(now).offset_s;
  const double around_s = bound_s(now);
  return KeptClock{{offset_s - around_s, offset_s + around_s}, formed_by_};
}

Discipline::Judgement Discipline::judge(RawTime now, const Selection& selection,
                                        const DisciplinePolicy& policy) {
  const std::string words = describe(selection);
  if (!held_) {
    doubted_.reset();
    if (slept_s_ > 0) {
      return {ClockState::cold, fmt::format("the machine slept for {:.3g} s; {}", slept_s_, words)};
    }
    return {ClockState::cold, words};
  }
  slept_s_ = 0;
  const double bound = bound_s(now);
  if (bound > policy.max_root_distance_s) {
    return {ClockState::unsynchronised, fmt::format("error bound {:.3g} s over {:.3g} s; {}", bound,
                                                    policy.max_root_distance_s, words)};
  }
  if (selection.outcome == Outcome::selected) {
    doubted_.reset();
    return {ClockState::synchronised, words};
  }
  return judge_kept(now, selection, policy);
}

Discipline::Judgement Discipline::judge_kept(RawTime now, const Selection& selection,
                                             const DisciplinePolicy& policy) {
  const std::string words = describe(selection);
  const bool doubted =
      selection.outcome == Outcome::too_few || selection.outcome == Outcome::required_missing;
  if (!doubted) doubted_.reset();
  if (selection.outcome == Outcome::contested) return {ClockState::unsynchronised, words};
  if (2 * selection.supporting < selection.voters) {
    return {ClockState::unsynchronised,
            fmt::format("{}; {} of {} contradict the clock kept so far", words,
                        selection.voters - selection.supporting, selection.voters)};
  }
  if (doubted) {
    if (!doubted_) doubted_ = now;
    if (seconds(now - *doubted_) >= policy.quorum_grace_s) {
      return {ClockState::unsynchronised, words};
    }
  }
  return {ClockState::holdover,
          fmt::format("holdover for {:.0f} s: {}", seconds(now - held_->clock.at), words)};
}

void Discipline::serve_kept(const Moment& now, Decision& out) const noexcept {
  server::ServerState& s = out.server;
  out.bound_s = bound_s(now.raw);
  s.leap = wire::Leap::none;
  s.synchronised = true;
  s.stratum = static_cast<std::uint8_t>(held_->stratum + 1);
  s.refid = held_->refid;
  s.root_delay_s = held_->root_delay_s;
  s.root_dispersion_s = out.bound_s - held_->root_delay_s / 2;
  s.dispersion_rate = chord(out.bound_s, bound_s(now.raw + server::kStateLifetime));
  s.reftime = NtpTimestamp::from(map_at(now)(held_->newest));
}

void Discipline::fall_back(const Moment& now, std::span<const Candidate> candidates,
                           const DisciplinePolicy& policy, Judgement& judgement, Decision& out) {
  const double lost_s = seconds(now.raw - *lost_);
  if (policy.orphan
          ? lost_s < policy.orphan_wait_s
          : policy.unsynchronised != Unsynchronised::local || lost_s < policy.local_wait_s) {
    return;
  }
  if (policy.orphan && follow(now.raw, candidates, policy, judgement, out)) {
    out.server.reftime = NtpTimestamp::from(map_at(now)(running_->at));
    return;
  }
  judgement.state = policy.orphan ? ClockState::orphan : ClockState::local;
  judgement.reason =
      fmt::format("{}: {}", policy.orphan ? "orphan, leading" : "local clock", judgement.reason);
  server::ServerState& s = out.server;
  s.leap = wire::Leap::none;
  s.stratum = policy.local_stratum;
  s.refid = server::kRefidLocal;
  s.root_dispersion_s = kLocalDispersion_s;
  s.reftime = NtpTimestamp::from(map_at(now).real);
}

// The orphan with the lowest id of address leads. Its time is not the true one: what was held is
// forgotten, so that a real source is taken up afresh.
bool Discipline::follow(RawTime now, std::span<const Candidate> candidates,
                        const DisciplinePolicy& policy, Judgement& judgement, Decision& out) {
  std::size_t leader = candidates.size();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    const Verdict& v = out.selection.verdicts[i];
    if (!is_kept_by_policy(c, awake_since_) || c.stratum != policy.local_stratum) continue;
    if (v.standing != Standing::stratum_too_high ||
        v.distance_s > policy.selection.max_distance_s) {
      continue;
    }
    if (c.refid >= policy.own_refid) continue;
    if (leader == candidates.size() || c.refid < candidates[leader].refid) leader = i;
  }
  if (leader == candidates.size()) return false;
  const Candidate& c = candidates[leader];
  const Estimate here = c.estimate.at_time(now);
  if (held_) combiner_.restart();
  held_.reset();
  running_ = c.estimate;
  out.selection.verdicts[leader].standing = Standing::selected;
  judgement.state = ClockState::orphan;
  judgement.reason = fmt::format("orphan, following source {}: {}", c.id, judgement.reason);
  server::ServerState& s = out.server;
  s.leap = wire::Leap::none;
  s.stratum = static_cast<std::uint8_t>(policy.local_stratum + 1);
  s.refid = c.refid;
  s.root_delay_s = std::max(0.0, c.root_delay_s);
  const double bound = root_distance_s(here, c);
  s.root_dispersion_s = bound - s.root_delay_s / 2;
  s.dispersion_rate =
      chord(bound, root_distance_s(c.estimate.at_time(now + server::kStateLifetime), c));
  return true;
}

// The clock that runs by itself; before there is one, the host's as it is.
ClockMap Discipline::map_at(const Moment& now) const noexcept {
  if (!running_) return {now.raw, now.host, 0};
  const Estimate here = running_->at_time(now.raw);
  return {now.raw, base_.map(now.raw) + to_ns(here.offset_s), base_.map.rate + here.rate};
}

void Discipline::plan_leap(RawTime now, const LeapTable* table, Decision& out) noexcept {
  base_ = {base_.map};
  planned_.reset();
  if (out.synchronised) planned_ = leap_today(out.served.map(now), table, votes_);
  // During the second that was inserted it is still the same day.
  if (planned_ && leapt_at_ && planned_->midnight == *leapt_at_) planned_.reset();
  if (!planned_) return;
  out.server.leap = planned_->kind;
  out.leap = planned_;
  out.served = leaping(out.served.map, *planned_);
  base_.step_at = out.served.step_at;
  base_.step = out.served.step;
}

}  // namespace ntp::clock

#include "clock/discipline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace ntp::clock {
namespace {

using std::chrono::nanoseconds;

// A server that slews its leap second away at the usual 83,333 ppm needs twelve seconds for it.
constexpr std::chrono::seconds kQuietBefore{5};
constexpr std::chrono::seconds kQuietAfter{20};
// The samples of a burst come within a second or two of each other's, unless some are lost.
constexpr std::chrono::seconds kObjections{10};
// LOCL is its own reference; this stands for the reading of it.
constexpr double kLocalDispersion_s = 0.001;

nanoseconds to_ns(double value_s) noexcept { return nanoseconds(std::llround(value_s * 1e9)); }

// Bounds grow convexly: a chord over the life of a state lies above all that is between.
double chord(double now_s, double later_s) noexcept {
  return std::max(0.0, (later_s - now_s) / seconds(server::kStateLifetime));
}

// Sources that answer, but have not been measured enough for a vote.
int unheard(const Selection& selection) noexcept {
  return static_cast<int>(
      std::ranges::count(selection.verdicts, Standing::waiting, &Verdict::standing));
}

LeapVotes votes_of(std::span<const Candidate> sources, const Selection& selection) noexcept {
  LeapVotes votes;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (!is_truechimer(selection.verdicts[i].standing)) continue;
    votes.all += 1;
    votes.insert += sources[i].leap == wire::Leap::insert ? 1 : 0;
    votes.remove += sources[i].leap == wire::Leap::remove ? 1 : 0;
  }
  return votes;
}

// Who has followed us needs some time to notice that we have begun anew, and to choose another.
bool may_yet_lead(Standing s) noexcept { return s == Standing::loop || s == Standing::waiting; }

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
  if (policy.unsynchronised == Unsynchronised::orphan && policy.local_stratum > 0) {
    rules.max_stratum = std::min<std::uint8_t>(rules.max_stratum,
                                               static_cast<std::uint8_t>(policy.local_stratum - 1));
  }
  out.selection = select(now.raw, sources, rules, kept(now.raw, sources));
  contested_ = out.selection.outcome == Outcome::contested;
  if (out.selection.outcome == Outcome::selected && !is_hasty(now.raw, out.selection)) {
    const bool is_first = !held_;
    held_ = combiner_.combine(now.raw, sources, out.selection);
    running_ = held_->clock;
    // In an outage they fall silent one by one; the last of them has made nothing alone.
    if (is_first || out.selection.agreeing >= formed_by_ || held_->newest > formed_at_) {
      formed_by_ = out.selection.agreeing;
      formed_at_ = held_->newest;
      remember_who(sources, out.selection);
    }
    votes_ = votes_of(sources, out.selection);
  }
  Judgement judgement = judge(now.raw, out.selection, policy);
  out.synchronised =
      judgement.state == ClockState::synchronised || judgement.state == ClockState::holdover;
  out.was_told = held_.has_value();
  out.server.precision = static_cast<std::int8_t>(precision_);
  out.server.at = now.raw;
  out.server.boot_lead = now.boot_lead;
  if (out.synchronised) {
    lost_.reset();
    leads_ = false;
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
  eager_.reset();
  leads_ = false;
  lost_ = awake_since_ = now.raw;
  slept_s_ = seconds(gained);
  return true;
}

// Whoever answers first must not set a cold clock before the others had a chance to object.
bool Discipline::is_hasty(RawTime now, const Selection& selection) noexcept {
  if (held_) return false;
  if (!eager_) eager_ = now;
  const int waiting = unheard(selection);
  return now - *eager_ < kObjections && waiting > 0 &&
         2 * selection.agreeing <= selection.voters + waiting;
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

// By number, not by `trust`: who is outvoted by one trusted source may well be right when that one
// is gone.
void Discipline::remember_who(std::span<const Candidate> sources, const Selection& selection) {
  const bool by_number = 2 * selection.agreeing > selection.voters;
  std::vector<std::uint32_t> outvoted;
  formers_.clear();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Standing standing = selection.verdicts[i].standing;
    if (is_truechimer(standing)) {
      formers_.push_back(sources[i].id);
    } else if (sources[i].outvoted || (by_number && standing == Standing::falseticker)) {
      outvoted.push_back(sources[i].id);
    }
  }
  outvoted_ = std::move(outvoted);
}

std::vector<Candidate> Discipline::with_history(std::span<const Candidate> candidates) const {
  std::vector<Candidate> sources(candidates.begin(), candidates.end());
  const auto is_among = [](const std::vector<std::uint32_t>& ids, const Candidate& c) {
    return std::ranges::find(ids, c.id) != ids.end();
  };
  // Who outvoted them is configured no more: then there is nobody to wait for.
  const bool may_return =
      std::ranges::any_of(sources, [&](const Candidate& c) { return is_among(formers_, c); });
  for (Candidate& c : sources) {
    c.formed = held_ && is_among(formers_, c);
    c.outvoted = held_ && may_return && is_among(outvoted_, c);
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

std::optional<KeptClock> Discipline::kept(RawTime now,
                                          std::span<const Candidate> sources) const noexcept {
  if (!held_) return std::nullopt;
  const double offset_s = held_->clock.at_time(now).offset_s;
  const double around_s = bound_s(now);
  KeptClock kept{{offset_s - around_s, offset_s + around_s}, formed_by_};
  if (!contested_) return kept;
  // Who backs it goes on telling where it is: a majority of liars must not win by waiting.
  Interval backed{kept.offset.high_s, kept.offset.low_s};
  for (const Candidate& c : sources) {
    if (c.last != Standing::falseticker) continue;
    const Estimate here = c.estimate.at_time(now);
    const double distance_s = root_distance_s(here, c);
    const double low_s = std::max(here.offset_s - distance_s, kept.offset.low_s);
    const double high_s = std::min(here.offset_s + distance_s, kept.offset.high_s);
    if (low_s > high_s) continue;
    backed = {std::min(backed.low_s, low_s), std::max(backed.high_s, high_s)};
  }
  if (backed.low_s <= backed.high_s) kept.offset = backed;
  return kept;
}

Discipline::Judgement Discipline::judge(RawTime now, const Selection& selection,
                                        const DisciplinePolicy& policy) {
  std::string words = describe(selection);
  if (!held_) {
    if (selection.outcome == Outcome::selected) {  // is_hasty()
      words += fmt::format("; waiting for {} more to be heard", unheard(selection));
    }
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
  const int own = formed_by_ > 1 ? 1 : 0;
  if (selection.voters > 0 && 2 * (selection.supporting + own) <= selection.voters + own) {
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
  const bool orphan = policy.unsynchronised == Unsynchronised::orphan;
  const double wait_s = orphan ? policy.orphan_wait_s : policy.local_wait_s;
  const bool led = std::exchange(leads_, false);
  if (policy.unsynchronised == Unsynchronised::refuse || seconds(now.raw - *lost_) < wait_s) return;
  if (orphan) return be_orphan(now, candidates, policy, led, judgement, out);
  judgement = {ClockState::local, "local clock: " + judgement.reason};
  serve_local(now, policy.local_stratum, server::kRefidLocal, out);
}

void Discipline::serve_local(const Moment& now, std::uint8_t stratum, std::uint32_t refid,
                             Decision& out) const noexcept {
  server::ServerState& s = out.server;
  s.leap = wire::Leap::none;
  s.stratum = stratum;
  s.refid = refid;
  s.root_dispersion_s = kLocalDispersion_s;
  s.reftime = NtpTimestamp::from(map_at(now).real);
}

void Discipline::be_orphan(const Moment& now, std::span<const Candidate> candidates,
                           const DisciplinePolicy& policy, bool led, Judgement& judgement,
                           Decision& out) {
  const auto leader = orphan_at(policy.local_stratum, candidates, policy, out.selection);
  if (leader && (!led || candidates[*leader].reference < policy.orphan_id)) {
    judgement.state = ClockState::orphan;
    out.selection.verdicts[*leader].standing = Standing::selected;
    return follow(now, candidates[*leader], policy, out);
  }
  if (!led && !running_) {
    // Else a leader that is started again would lead everybody to its host's clock.
    if (std::ranges::any_of(out.selection.verdicts, may_yet_lead, &Verdict::standing)) {
      judgement.reason = "others still follow this server, or have too few samples to be followed";
      return;
    }
    const auto stratum = static_cast<std::uint8_t>(policy.local_stratum + 1);
    const auto follower = orphan_at(stratum, candidates, policy, out.selection);
    if (follower) running_ = candidates[*follower].estimate;
  }
  leads_ = true;
  judgement = {ClockState::orphan, "leading: " + judgement.reason};
  serve_local(now, policy.local_stratum, policy.orphan_id, out);
}

// Of those measured well that serve exactly that stratum the one with the lowest id. A server that
// serves LOCL there leads for ever: its reference id is below all of those.
std::optional<std::size_t> Discipline::orphan_at(std::uint8_t stratum,
                                                 std::span<const Candidate> candidates,
                                                 const DisciplinePolicy& policy,
                                                 const Selection& selection) const noexcept {
  const auto rank = [&](std::size_t i) {
    return std::pair(candidates[i].reference, candidates[i].refid);
  };
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    const Verdict& v = selection.verdicts[i];
    if (v.standing != Standing::stratum_too_high || c.stratum != stratum) continue;
    if (v.distance_s > policy.selection.max_distance_s || c.estimate.at < awake_since_) continue;
    if (!found || rank(i) < rank(*found)) found = i;
  }
  return found;
}

// The leader's time is not the true one: what was held is forgotten, so that real sources are taken
// up afresh, all of them heard.
void Discipline::follow(const Moment& now, const Candidate& leader, const DisciplinePolicy& policy,
                        Decision& out) {
  if (held_) {
    combiner_.restart();
    held_.reset();
    eager_.reset();
  }
  running_ = leader.estimate;
  out.leader = leader.id;
  server::ServerState& s = out.server;
  s.leap = wire::Leap::none;
  s.stratum = static_cast<std::uint8_t>(policy.local_stratum + 1);
  s.refid = leader.refid;
  s.root_delay_s = std::max(0.0, leader.root_delay_s);
  const auto bound_at = [&](RawTime when) {
    return root_distance_s(leader.estimate.at_time(when), leader);
  };
  s.root_dispersion_s = bound_at(now.raw) - s.root_delay_s / 2;
  s.dispersion_rate = chord(bound_at(now.raw), bound_at(now.raw + server::kStateLifetime));
  s.reftime = NtpTimestamp::from(map_at(now)(leader.estimate.at));
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

#include "clock/selection.h"

#include <algorithm>
#include <cmath>

namespace ntp::clock {
namespace {

// RFC 5905 section 11.2.2 NMIN: clustering leaves at least so many.
constexpr std::size_t kMinSurvivors = 3;
// Another source must be better than the system source by this much to take its place, and an
// outlier must come nearer by as much to be taken back.
constexpr double kReluctance = 1.4;
// What no clock does and no timestamps say: a rate beyond that of a tick set as far off as kernels
// let it be (10 %; slewing servers come near), an offset beyond an era.
constexpr double kFastest = 0.1;
constexpr double kFarthest_s = 0x1p32;
// A kept clock has a vote when so many sources formed it: with fewer it is only their echo.
constexpr int kKeptQuorum = 3;

struct Voter {
  std::size_t index = 0;  // of the candidate
  std::uint32_t id = 0;
  double offset_s = 0;
  double distance_s = 0;
  int votes = 1;

  double low_s() const noexcept { return offset_s - distance_s; }
  double high_s() const noexcept { return offset_s + distance_s; }
  bool contains(const Interval& i) const noexcept {
    return low_s() <= i.low_s && high_s() >= i.high_s;
  }
  bool meets(const Interval& i) const noexcept {
    return low_s() <= i.high_s && high_s() >= i.low_s;
  }
};

struct Edge {
  double at_s = 0;
  bool upper = false;
  int votes = 0;
};

bool is_sane(const Estimate& e, const Candidate& c) noexcept {
  return std::fabs(e.offset_s) <= kFarthest_s && std::fabs(e.rate) <= kFastest &&
         std::isfinite(e.offset_var) && std::isfinite(c.root_delay_s) &&
         std::isfinite(c.root_dispersion_s) && std::isfinite(e.rate_var) &&
         std::isfinite(e.covariance) && e.offset_var >= 0 && e.rate_var >= 0 && e.wander >= 0 &&
         std::isfinite(e.wander) && c.root_dispersion_s >= 0;
}

// Why a candidate has no vote, or `combined` when it has one.
Standing screen(const Candidate& c, const Verdict& verdict, bool sane,
                const SelectionPolicy& policy) noexcept {
  if (c.options.noselect) return Standing::noselect;
  if (c.loop) return Standing::loop;
  if (!c.reachable) return Standing::unreachable;
  if (c.samples < policy.min_samples) return Standing::waiting;
  if (c.leap == wire::Leap::unknown || c.stratum == 0 || c.stratum > 15) {
    return Standing::unsynchronised;
  }
  if (!sane) return Standing::invalid;
  if (c.stratum > policy.max_stratum) return Standing::stratum_too_high;
  if (verdict.distance_s > policy.max_distance_s) return Standing::too_distant;
  return Standing::combined;
}

Verdict first_verdict(RawTime now, const Candidate& c, const SelectionPolicy& policy) noexcept {
  Verdict verdict{.id = c.id};
  const Estimate here = c.estimate.at_time(now);
  const bool sane =
      is_sane(c.estimate, c) && is_sane(here, c);  // age could hide a variance below 0
  if (sane) {
    verdict.offset_s = here.offset_s;
    verdict.distance_s = root_distance_s(here, c);
  }
  verdict.standing = screen(c, verdict, sane, policy);
  verdict.limit_s = policy.max_distance_s;
  const bool high = verdict.standing == Standing::stratum_too_high;
  verdict.have = high ? c.stratum : c.samples;
  verdict.want = high ? policy.max_stratum : policy.min_samples;
  return verdict;
}

// Sorted by id, so that ties and floating-point sums come out alike in any order.
std::vector<Voter> voters_of(std::span<const Candidate> candidates, const Selection& selection) {
  std::vector<Voter> voters;
  int plain = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Verdict& v = selection.verdicts[i];
    if (v.standing != Standing::combined) continue;
    voters.push_back({i, v.id, v.offset_s, v.distance_s});
    plain += candidates[i].options.trust ? 0 : 1;
  }
  for (Voter& voter : voters) voter.votes = candidates[voter.index].options.trust ? plain + 1 : 1;
  std::sort(voters.begin(), voters.end(),
            [](const Voter& a, const Voter& b) { return a.id < b.id; });
  return voters;
}

struct Agreement {
  Interval interval{};
  Interval possible{};  // from the first to the last point with more than half of all votes
  int votes = 0;
  int deepest = 0;  // sources at (the first of) the points with the most votes
  int sources = 0;  // sources that contain the whole interval
};

int total_votes(const std::vector<Voter>& voters) noexcept {
  int total = 0;
  for (const Voter& v : voters) total += v.votes;
  return total;
}

// Marzullo's intersection: the stretch from the first to the last point with the most votes.
Agreement intersect(const std::vector<Voter>& voters) {
  std::vector<Edge> edges;
  for (const Voter& v : voters) {
    edges.push_back({v.low_s(), false, v.votes});
    edges.push_back({v.high_s(), true, v.votes});
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
    if (a.at_s != b.at_s) return a.at_s < b.at_s;
    return a.upper < b.upper;  // intervals are closed: touching is agreeing
  });
  Agreement most;
  const int total = total_votes(voters);
  int depth = 0;
  int sources = 0;
  bool majority_seen = false;
  for (const Edge& edge : edges) {
    if (!edge.upper) {
      depth += edge.votes;
      ++sources;
      if (2 * depth > total && !majority_seen) {
        most.possible.low_s = edge.at_s;
        majority_seen = true;
      }
      if (depth > most.votes) {
        most.interval = {edge.at_s, edge.at_s};
        most.votes = depth;
        most.deepest = sources;
      }
    } else {
      if (depth == most.votes) most.interval.high_s = edge.at_s;
      if (2 * depth > total) most.possible.high_s = edge.at_s;
      depth -= edge.votes;
      --sources;
    }
  }
  for (const Voter& v : voters) most.sources += v.contains(most.interval) ? 1 : 0;
  return most;
}

// More than half of the votes, but against a clock that enough sources formed and some still back.
bool is_contested(const std::vector<Voter>& voters, const Agreement& most,
                  const std::optional<KeptClock>& kept, bool is_absent) noexcept {
  if (!kept || kept->formed_by < kKeptQuorum) return false;
  const Interval& ours = kept->offset;
  if (most.interval.low_s <= ours.high_s && most.interval.high_s >= ours.low_s) return false;
  int support = 0;
  for (const Voter& v : voters) {
    if (v.meets(ours) && !v.contains(most.interval)) support += v.votes;
  }
  return (support > 0 || is_absent) && most.votes <= support + 1;
}

bool are_outvoted(const std::vector<Voter>& voters,
                  std::span<const Candidate> candidates) noexcept {
  return std::all_of(voters.begin(), voters.end(),
                     [&](const Voter& v) { return candidates[v.index].outvoted; });
}

// Nobody that is heard still says what is estimated of him.
bool are_held_back(const std::vector<Voter>& voters,
                   std::span<const Candidate> candidates) noexcept {
  return std::all_of(voters.begin(), voters.end(),
                     [&](const Voter& v) { return candidates[v.index].held_back; });
}

void leave_out(Selection& selection, const std::vector<Voter>& outvoted,
               const std::optional<KeptClock>& kept) noexcept {
  for (const Voter& v : outvoted) {
    Verdict& verdict = selection.verdicts[v.index];
    verdict.standing = Standing::falseticker;
    if (kept) verdict.majority = kept->offset;
  }
}

// Of those that made the kept clock somebody is there no more, but may come back.
bool is_any_absent(std::span<const Candidate> candidates, const Selection& selection) noexcept {
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].formed && selection.verdicts[i].standing != Standing::combined) return true;
  }
  return false;
}

void set_all(Selection& selection, const std::vector<Voter>& voters, Standing standing, int have,
             int want) {
  for (const Voter& v : voters) {
    Verdict& verdict = selection.verdicts[v.index];
    verdict.standing = standing;
    verdict.have = have;
    verdict.want = want;
  }
}

std::vector<Voter> truechimers_of(Selection& selection, const std::vector<Voter>& voters) {
  std::vector<Voter> good;
  for (const Voter& v : voters) {
    Verdict& verdict = selection.verdicts[v.index];
    verdict.majority = *selection.majority;
    if (v.contains(*selection.majority)) {
      good.push_back(v);
    } else {
      verdict.standing = v.meets(*selection.majority) ? Standing::ambiguous : Standing::falseticker;
    }
  }
  return good;
}

void keep_preferred(Selection& selection, std::span<const Candidate> candidates,
                    std::vector<Voter>& good) {
  const auto preferred = [&](const Voter& v) { return candidates[v.index].options.prefer; };
  if (!std::any_of(good.begin(), good.end(), preferred)) return;
  std::erase_if(good, [&](const Voter& v) {
    if (preferred(v)) return false;
    selection.verdicts[v.index].standing = Standing::not_preferred;
    return true;
  });
}

double spread_s(const std::vector<Voter>& good, const Voter& of) noexcept {
  double sum = 0;
  for (const Voter& v : good) sum += (v.offset_s - of.offset_s) * (v.offset_s - of.offset_s);
  return std::sqrt(sum / static_cast<double>(good.size() - 1));
}

// RFC 5905 section 11.2.2. There the measure is the least jitter; constant asymmetry, which no
// averaging takes away either, makes the least root distance (jitter included) the fair one here.
void cluster(Selection& selection, std::span<const Candidate> candidates,
             std::vector<Voter>& good) {
  while (good.size() > kMinSurvivors) {
    double least_s = good.front().distance_s;
    for (const Voter& v : good) least_s = std::min(least_s, v.distance_s);
    std::size_t worst = 0;
    double worst_s = -1;
    for (std::size_t i = 0; i < good.size(); ++i) {
      const bool was_out = candidates[good[i].index].last == Standing::outlier;
      const double s = spread_s(good, good[i]) * (was_out ? kReluctance : 1);
      if (s <= worst_s) continue;
      worst = i;
      worst_s = s;
    }
    if (worst_s <= least_s) return;
    selection.verdicts[good[worst].index].standing = Standing::outlier;
    good.erase(good.begin() + static_cast<std::ptrdiff_t>(worst));
  }
}

void choose_system(Selection& selection, std::span<const Candidate> candidates,
                   const std::vector<Voter>& good, const SelectionPolicy& policy) {
  const auto cost = [&](const Voter& v) {
    return v.distance_s + candidates[v.index].stratum * policy.stratum_weight_s;
  };
  const Voter* best = &good.front();
  for (const Voter& v : good) {
    if (cost(v) < cost(*best)) best = &v;
  }
  for (const Voter& v : good) {
    if (candidates[v.index].last != Standing::selected) continue;
    if (cost(v) <= kReluctance * cost(*best)) {
      best = &v;
      break;
    }
  }
  selection.system = best->index;
  selection.verdicts[best->index].standing = Standing::selected;
}

}  // namespace

double root_distance_s(const Estimate& at_now, const Candidate& candidate) noexcept {
  return std::max(0.0, candidate.root_delay_s) / 2 + candidate.root_dispersion_s +
         kCoverage * std::sqrt(at_now.offset_var);
}

Selection select(RawTime now, std::span<const Candidate> candidates, const SelectionPolicy& policy,
                 const std::optional<KeptClock>& kept) {
  Selection selection{.wanted = policy.minsources};
  for (const Candidate& c : candidates) {
    selection.verdicts.push_back(first_verdict(now, c, policy));
  }
  const std::vector<Voter> voters = voters_of(candidates, selection);
  if (voters.empty()) return selection;
  if (are_outvoted(voters, candidates)) {
    leave_out(selection, voters, kept);
    return selection;
  }
  const bool is_absent = is_any_absent(candidates, selection);
  if (is_absent && kept && kept->formed_by >= kKeptQuorum && are_held_back(voters, candidates)) {
    set_all(selection, voters, Standing::waiting, 0, 1);
    return selection;
  }
  selection.voters = static_cast<int>(voters.size());
  for (const Voter& v : voters) {
    selection.supporting += kept && v.meets(kept->offset) ? 1 : 0;
  }
  const Agreement most = intersect(voters);
  const int total = total_votes(voters);
  selection.agreeing = most.sources;
  const auto refuse = [&](Outcome outcome, Standing standing, const std::vector<Voter>& whom,
                          int have, int want) {
    selection.outcome = outcome;
    set_all(selection, whom, standing, have, want);
    return selection;
  };
  if (2 * most.votes <= total) {
    selection.agreeing = most.deepest;
    return refuse(Outcome::no_majority, Standing::no_majority, voters, most.votes, total);
  }
  selection.majority = most.interval;
  selection.possible = most.possible;
  std::vector<Voter> good = truechimers_of(selection, voters);
  if (are_outvoted(good, candidates) || is_contested(voters, most, kept, is_absent)) {
    return refuse(Outcome::contested, Standing::contested, good, selection.supporting,
                  selection.voters);
  }
  const bool required = std::any_of(candidates.begin(), candidates.end(),
                                    [](const Candidate& c) { return c.options.require; });
  const bool met = std::any_of(good.begin(), good.end(),
                               [&](const Voter& v) { return candidates[v.index].options.require; });
  if (required && !met) {
    return refuse(Outcome::required_missing, Standing::required_missing, good, 0, 1);
  }
  if (most.sources < policy.minsources) {
    return refuse(Outcome::too_few, Standing::too_few, good, most.sources, policy.minsources);
  }
  selection.outcome = Outcome::selected;
  keep_preferred(selection, candidates, good);
  cluster(selection, candidates, good);
  choose_system(selection, candidates, good, policy);
  return selection;
}

Verdict rebased(Verdict verdict, double reference_s) noexcept {
  verdict.offset_s -= reference_s;
  verdict.majority.low_s -= reference_s;
  verdict.majority.high_s -= reference_s;
  return verdict;
}

}  // namespace ntp::clock

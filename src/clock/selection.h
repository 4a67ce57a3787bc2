// Which sources to believe: RFC 5905 section 11.2 (intersection, clustering), and for every source
// one verdict that can be put in words. Pure; the result does not depend on the candidates' order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "clock/estimate.h"
#include "wire/header.h"

namespace ntp::clock {

// How many standard deviations of an estimate count as its largest error. A deviation is itself
// learned, from some thirty samples: 4.48 is where Student's t of 30 degrees leaves 1e-4 outside
// (a Gaussian leaves 7e-6). What is not noise (asymmetry) has its own term, half the delay.
inline constexpr double kCoverage = 4.5;

// What became of a source. The first two steer the clock.
enum class Standing : std::uint8_t {
  selected,          // the system source: gives stratum and refid
  combined,          // agrees and counts
  outlier,           // agrees, but further from the others than they are from each other
  not_preferred,     // agrees, but others are marked `prefer`
  falseticker,       // outside the interval that the majority agrees on
  ambiguous,         // inside it, but contradicts others there: one of them is wrong
  no_majority,       // no interval has more than half of the votes
  contested,         // the majority contradicts the clock kept so far, which others still support
  too_few,           // agrees, but with fewer than `minsources`
  required_missing,  // agrees, but no `require` source does
  too_distant,
  stratum_too_high,
  unsynchronised,  // says so itself
  loop,            // takes its time from us, or is us
  waiting,         // too few samples yet
  unreachable,
  noselect,
  invalid,  // not a number, a negative variance, a rate of no clock: our own fault or hostile
};

inline constexpr std::array<std::string_view, 18> kStandingNames = {
    "selected",       "combined",  "outlier", "not_preferred",    "falseticker", "ambiguous",
    "no_majority",    "contested", "too_few", "required_missing", "too_distant", "stratum_too_high",
    "unsynchronised", "loop",      "waiting", "unreachable",      "noselect",    "invalid"};
static_assert(kStandingNames.size() == static_cast<std::size_t>(Standing::invalid) + 1);

// True of sources that agree with the majority, used or not.
constexpr bool is_truechimer(Standing s) noexcept { return s <= Standing::not_preferred; }
constexpr bool is_used(Standing s) noexcept { return s <= Standing::combined; }

struct SourceOptions {
  bool prefer = false;    // while it agrees with the majority, only such sources are combined
  bool trust = false;     // outvotes all sources without it
  bool noselect = false;  // measured, never believed
  bool require = false;   // at least one of these must agree
};

struct Candidate {
  std::uint32_t id = 0;  // unique and stable for the life of the source
  Estimate estimate{};   // source - base, as of its latest sample or later
  // Path and upstream together; the path's delay is that of the best recent sample. The true time
  // is within root_delay/2 + root_dispersion of the source's, as far as noise does not hide it.
  double root_delay_s = 0;
  double root_dispersion_s = 0;
  wire::Leap leap = wire::Leap::unknown;
  std::uint8_t stratum = 0;
  std::uint32_t refid = 0;      // of its address: what we publish while it is the system source
  std::uint32_t reference = 0;  // the one that it publishes itself
  bool reachable = false;
  bool loop = false;       // its last answer said that it follows us, or that it is us
  bool held_back = false;  // its last answer is beyond what the estimate, of those before, explains
  int samples = 0;
  SourceOptions options{};
  Standing last = Standing::waiting;  // the previous verdict, so that the choice does not flap
  // What it was when sources last made the kept clock: one of those that did, or a falseticker that
  // they outvoted.
  bool formed = false;
  bool outvoted = false;
};

// The root distance (RFC 5905 section 11.1): where the true offset may be, to either side.
double root_distance_s(const Estimate& at_now, const Candidate& candidate) noexcept;

struct SelectionPolicy {
  int minsources = 1;
  int min_samples = 4;
  double max_distance_s = 1.5;
  std::uint8_t max_stratum = 14;    // one more is what we serve; 16 would be unsynchronised
  double stratum_weight_s = 0.001;  // a stratum costs this much distance (system source only)
};

struct Interval {
  double low_s = 0;
  double high_s = 0;
};

// What the clock kept so far knows: it was formed by that many sources and says that true - base
// lies in there. It has one vote, but only against a majority that it contradicts, only when at
// least three sources formed it, and only while some source still supports it, or one of those that
// formed it is away: the only source left must not win because the others cannot be heard.
struct KeptClock {
  Interval offset{};
  int formed_by = 0;
};

struct Verdict {
  std::uint32_t id = 0;
  Standing standing = Standing::waiting;
  double offset_s = 0;    // source - base; rebased() makes it relative to what is served
  double distance_s = 0;  // root distance
  Interval majority{};    // only where there is one
  double limit_s = 0;     // of too_distant
  int have = 0;           // samples, sources, votes or stratum: what the standing is about
  int want = 0;
};

enum class Outcome : std::uint8_t {
  selected,
  no_source,  // none that could vote
  no_majority,
  contested,
  too_few,
  required_missing,
};

struct Selection {
  Outcome outcome = Outcome::no_source;
  std::vector<Verdict> verdicts{};  // one per candidate, in their order
  std::optional<Interval> majority{};
  // Where the true offset can be if any majority of votes is right, not just the largest: from the
  // first to the last point with more than half of them. At least as wide as `majority`.
  Interval possible{};
  int voters = 0;
  int agreeing = 0;        // truechimers; without a majority the most that agree
  int supporting = 0;      // voters that do not contradict the kept clock
  int wanted = 0;          // minsources
  std::size_t system = 0;  // index of the system source when outcome is `selected`
};

// A source votes when it is reachable, synchronised, measured enough and near enough.
//  0. Falsetickers that those who made the kept clock have outvoted do not become right because the
//     others cannot be heard: by themselves they have no vote, and make no majority. Nor does an
//     estimate that its own source has just contradicted stand for the clock while the others are
//     away: one voice must not inherit what three have made, and then turn.
//  1. Intersection: the points where the votes are most, if they are more than half; several such
//     stretches are taken together. Truechimers contain all of it (two majorities always share such
//     a source), the others are falsetickers or, inside it, ambiguous.
//  2. `trust`: one such vote weighs more than all votes without it together.
//  3. `require` and `minsources` are asked of the truechimers. 4. `prefer` narrows them.
//  5. Clustering: with more than three left, the one furthest from the others (root mean square) is
//     dropped while that is more than the best root distance and jitter explain.
//  6. The system source is the one of the least distance; the last one stays unless another is
//     clearly better.
Selection select(RawTime now, std::span<const Candidate> candidates, const SelectionPolicy& policy,
                 const std::optional<KeptClock>& kept = {});

// The same verdict with offsets relative to `reference_s` (a clock - base).
Verdict rebased(Verdict verdict, double reference_s) noexcept;

std::string describe(const Verdict& verdict);
std::string describe(const Selection& selection);

}  // namespace ntp::clock

// The keeper of time's decisions, once a second and at each sample: which sources to believe, what
// time to serve and what to say of it. Pure; owns the selection's and the combination's memory.
//
//   cold            never synchronised since the start or since the machine slept
//   synchronised    a majority of sources agrees
//   holdover        it did; the clock runs on by itself, and its bound grows with what was learned
//                   of the frequency and its wander
//   unsynchronised  the bound is past max_root_distance, or the sources that are there contradict
//                   the clock: leap 3, for nobody knows
//   local           instead of cold or unsynchronised where the policy asks: LOCL at local_stratum
//   orphan          likewise, but servers that see each other follow one of them, see below
//
// Sources that fail while a clock is kept. None usable, or none but those that have been outvoted
// and never right since, while one of those that outvoted them is still configured: holdover. No
// majority: holdover only while at least half of the voters support the kept clock (with its own
// vote, that is a majority); nobody is chosen (a clock that one source made is its echo and has no
// vote). A majority against the kept clock and those that back it (contested): unsynchronised for
// as long as they do. Too few, or a required one missing: holdover for quorum_grace_s.
//
// Orphan mode, for isolated sets of servers that ask each other. One of them leads: it serves its
// own clock at local_stratum, with its orphan_id as reference id. The others follow it and serve
// local_stratum + 1, whom nobody follows. Who has waited for orphan_wait_s and sees a leader
// follows it; who sees none leads; of those that lead at once the one with the lowest id goes on.
// So who joins an old set follows, whatever its id; and who leads without having had a time since
// the start takes over that of one that has followed. Needed from the wire: stratum and reference
// id, no address, so that NAT does no harm. Every server must have the same local_stratum, and real
// sources have to be below it. None of this is called synchronised.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "clock/combine.h"
#include "clock/host_clock.h"
#include "clock/leap.h"
#include "clock/selection.h"
#include "server/state.h"

namespace ntp::clock {

enum class ClockState : std::uint8_t {
  cold,
  synchronised,
  holdover,
  unsynchronised,
  local,
  orphan,
};
inline constexpr std::array<std::string_view, 6> kClockStateNames = {
    "cold", "synchronised", "holdover", "unsynchronised", "local", "orphan"};
static_assert(kClockStateNames.size() == static_cast<std::size_t>(ClockState::orphan) + 1);

struct DisciplinePolicy {
  SelectionPolicy selection{};
  double max_root_distance_s = 1.5;  // of what is served: past it nothing is synchronised
  double quorum_grace_s = 600;       // minsources or require unmet: so long a kept clock is served
  Unsynchronised unsynchronised = Unsynchronised::refuse;
  std::uint8_t local_stratum = 10;  // 2 … 14 with orphans
  double local_wait_s = 0;          // without synchronisation before LOCL is served
  double orphan_wait_s = 300;
  std::uint32_t orphan_id = 0;  // of server::kRefidOrphans; no other server's, if luck is not bad
};

// One reading of the clocks, taken together.
struct Moment {
  RawTime raw{};
  RealTime host{};                       // CLOCK_REALTIME
  std::chrono::nanoseconds boot_lead{};  // CLOCK_BOOTTIME - CLOCK_MONOTONIC_RAW
};

struct Decision {
  ClockState state = ClockState::cold;
  bool synchronised = false;  // in state synchronised or holdover
  bool was_told = false;      // sources have told the time since the start or the last sleep
  std::string reason{};       // of the state, in words
  Selection selection{};
  std::vector<Verdict> verdicts{};  // one per candidate; offsets relative to the served clock
  LeapingMap base{};                // measure samples against this from now on (it has leaps, too)
  LeapingMap served{};
  server::ServerState server{};
  Estimate clock{};                       // true - base; meaningless while cold
  double bound_s = 0;                     // |served - true| now; 0 unless synchronised
  std::optional<std::uint32_t> leader{};  // the candidate that is followed among orphans
  std::optional<PlannedLeap> leap{};      // at the end of this day
  bool hold_samples = false;  // around a leap second: drop exchanges, who knows which second it was
  bool leapt = false;  // the base has just stepped: whoever converted by the old one is stale
  bool slept = false;  // restart every filter and ask all sources at once
};

class Discipline {
 public:
  // `base` has rate 0 and is what Estimates are measured against.
  Discipline(const ClockMap& base, int precision) noexcept : base_{base}, precision_(precision) {}

  // `now.raw` never goes back. Candidate::last is filled in here. `table` may be null.
  Decision update(const Moment& now, std::span<const Candidate> candidates,
                  const DisciplinePolicy& policy, const LeapTable* table);

 private:
  struct Judgement {
    ClockState state = ClockState::cold;
    std::string reason{};
  };

  bool notice_sleep(const Moment& now);
  bool pass_leap(RawTime now) noexcept;
  std::vector<Candidate> with_history(std::span<const Candidate> candidates) const;
  std::optional<KeptClock> kept(RawTime now, std::span<const Candidate> sources) const noexcept;
  void remember_who(std::span<const Candidate> sources, const Selection& selection);
  bool is_hasty(RawTime now, const Selection& selection) noexcept;
  Judgement judge(RawTime now, const Selection& selection, const DisciplinePolicy& policy);
  Judgement judge_kept(RawTime now, const Selection& selection, const DisciplinePolicy& policy);
  void fall_back(const Moment& now, std::span<const Candidate> candidates,
                 const DisciplinePolicy& policy, Judgement& judgement, Decision& decision);
  void serve_local(const Moment& now, std::uint8_t stratum, std::uint32_t refid,
                   Decision& decision) const noexcept;
  void be_orphan(const Moment& now, std::span<const Candidate> candidates,
                 const DisciplinePolicy& policy, bool led, Judgement& judgement,
                 Decision& decision);
  std::optional<std::size_t> orphan_at(std::uint8_t stratum, std::span<const Candidate> candidates,
                                       const DisciplinePolicy& policy,
                                       const Selection& selection) const noexcept;
  void follow(const Moment& now, const Candidate& leader, const DisciplinePolicy& policy,
              Decision& decision);
  void serve_kept(const Moment& now, Decision& decision) const noexcept;
  void plan_leap(RawTime now, const LeapTable* table, Decision& decision) noexcept;
  ClockMap map_at(const Moment& now) const noexcept;
  double bound_s(RawTime when) const noexcept;

  LeapingMap base_;
  int precision_;
  Combiner combiner_{};
  std::optional<Combined> held_{};     // true time as last combined
  std::optional<Estimate> running_{};  // what is served: held_ or, among orphans, the leader's
  bool leads_ = false;                 // orphans, as of the last decision
  int formed_by_ = 0;
  RawTime formed_at_{};                    // the newest sample then
  bool contested_ = false;                 // the last outcome of the selection
  std::vector<std::uint32_t> formers_{};   // the sources that made held_
  std::vector<std::uint32_t> outvoted_{};  // falsetickers then or before, and never right since
  LeapVotes votes_{};
  std::vector<Verdict> last_{};
  std::optional<Moment> before_{};
  std::optional<RawTime> lost_{};     // since when there is no synchronisation
  std::optional<RawTime> doubted_{};  // since when minsources or require are unmet
  std::optional<RawTime> eager_{};    // since when a cold clock could follow the first sources
  RawTime awake_since_ = RawTime::min();
  std::optional<PlannedLeap> planned_{};
  std::optional<RealTime> leapt_at_{};  // the midnight that has had its leap second
  RawTime quiet_until_ = RawTime::min();
  double slept_s_ = 0;
};

}  // namespace ntp::clock

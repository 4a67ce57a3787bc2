#include <gtest/gtest.h>

#include <cmath>

#include "clock/dice_test.h"
#include "clock/discipline_fixture.h"

namespace ntp::clock {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using namespace std::chrono_literals;

TEST(Discipline, ColdWithoutSourcesSaysLeapThree) {
  World world(0);
  const Decision& d = world.tick();
  EXPECT_EQ(d.state, ClockState::cold);
  EXPECT_EQ(d.server.leap, wire::Leap::unknown);
  EXPECT_EQ(d.server.stratum, 16);
  EXPECT_FALSE(d.synchronised);
  EXPECT_EQ(d.reason, "no source has an address yet: names are being resolved");
}

TEST(Discipline, ServesTheCombinedTimeWithABoundThatHolds) {
  World world;
  for (int i = 0; i < 3600; ++i) {
    const Decision& d = world.tick();
    ASSERT_EQ(d.state, ClockState::synchronised);
    ASSERT_LE(std::abs(world.error_s()), server::error_bound_s(d.server, world.raw()));
    ASSERT_NEAR(server::error_bound_s(d.server, world.raw()), d.bound_s, 1e-12);
  }
  const Decision& d = world.last;
  EXPECT_EQ(d.reason, "4 of 4 sources agree");
  EXPECT_EQ(d.server.stratum, 3);
  EXPECT_EQ(d.server.refid, 0x0a000001u);
  EXPECT_DOUBLE_EQ(d.server.root_delay_s, 0.020);
  EXPECT_NEAR(d.served.map.rate, 10e-6, 1e-12);
  EXPECT_NEAR(d.verdicts[0].offset_s, -0.0015, 1e-4) << "relative to what is served";
  EXPECT_EQ(d.server.reftime, NtpTimestamp::from(d.served.map.real));
}

TEST(Discipline, HoldoverGrowsByWhatWasLearnedAndTheStatedRateCoversTheTimeBetween) {
  World world;
  world.run(600);
  const double at_loss = world.last.bound_s;
  for (auto& s : world.all) s.reachable = false;
  world.tick();
  EXPECT_EQ(world.last.state, ClockState::holdover);
  EXPECT_TRUE(world.last.synchronised);
  EXPECT_EQ(world.last.reason, "holdover for 1 s: no source is usable");
  double before = world.last.bound_s;
  for (int i = 0; i < 3600; ++i) {
    const server::ServerState earlier = world.last.server;
    world.tick(10);
    ASSERT_GE(world.last.bound_s, before);
    ASSERT_GE(server::error_bound_s(earlier, world.raw()) + 1e-12, world.last.bound_s);
    ASSERT_LE(std::abs(world.error_s()), world.last.bound_s);
    before = world.last.bound_s;
  }
  EXPECT_LT(before - at_loss, 0.010) << "ten hours at a wander of 1e-10 per root second";
  EXPECT_GT(before - at_loss, 4.5 * 36'000 * 1e-9 * 0.5);
}

TEST(Discipline, PastMaxRootDistanceItIsUnsynchronisedAndComesBackByItself) {
  World world;
  world.policy.max_root_distance_s = 0.015;
  world.run(60);
  for (auto& s : world.all) s.reachable = false;
  int held = 0;
  while (world.tick(60).state == ClockState::holdover && held < 100'000) ++held;
  EXPECT_GT(held, 10);
  EXPECT_EQ(world.last.state, ClockState::unsynchronised);
  EXPECT_EQ(world.last.server.leap, wire::Leap::unknown);
  EXPECT_EQ(world.last.reason.substr(0, 33), "error bound 0.015 s over 0.015 s;")
      << world.last.reason;
  for (auto& s : world.all) s.reachable = true;
  EXPECT_EQ(world.tick().state, ClockState::synchronised);
}

TEST(Discipline, LocalIsServedByPolicyAndNeverCalledSynchronised) {
  World world(0);
  world.policy.unsynchronised = Unsynchronised::local;
  world.policy.local_wait_s = 30;
  EXPECT_EQ(world.run(20).state, ClockState::cold);
  const Decision& d = world.run(20);
  EXPECT_EQ(d.state, ClockState::local);
  EXPECT_FALSE(d.synchronised);
  EXPECT_FALSE(d.server.synchronised);
  EXPECT_EQ(d.server.leap, wire::Leap::none);
  EXPECT_EQ(d.server.stratum, 10);
  EXPECT_EQ(d.server.refid, server::kRefidLocal);
  EXPECT_EQ(d.served(world.raw()), world.truth() + 5s) << "before any source: the host's clock";
}

TEST(Discipline, TwoSourcesOfWhichOneStartsToLieKeepTheClockInHoldover) {
  World world(2);
  world.run(600);
  world.all[1].lie_s = 1;
  for (int i = 0; i < 3600; ++i) {
    world.tick();
    ASSERT_EQ(world.last.state, ClockState::holdover);
    ASSERT_LE(std::abs(world.error_s()), world.last.bound_s);
  }
  EXPECT_EQ(world.last.verdicts[1].standing, Standing::no_majority);
  EXPECT_EQ(world.last.verdicts[0].standing, Standing::no_majority) << "nobody is chosen";
}

TEST(Discipline, TwoSourcesThatDisagreeFromTheStartAreNoSynchronisation) {
  World world(2);
  world.all[1].lie_s = 1;
  EXPECT_EQ(world.run(100).state, ClockState::cold);
  EXPECT_EQ(world.last.reason, "no majority: at most 1 of 2 sources agree");
}

TEST(Discipline, WhoeverAnswersFirstDoesNotSetAColdClockBeforeTheOthersCanObject) {
  World world(3);
  world.all[0].lie_s = 1;
  world.all[1].samples = world.all[2].samples = 3;
  EXPECT_EQ(world.run(3).state, ClockState::cold);
  EXPECT_EQ(world.last.server.leap, wire::Leap::unknown);
  EXPECT_EQ(world.last.reason, "1 of 1 sources agree; waiting for 2 more to be heard");
  world.all[1].samples = 4;
  EXPECT_EQ(world.tick().state, ClockState::cold) << "no majority";
  world.all[2].samples = 4;
  EXPECT_TRUE(world.tick().synchronised);
  EXPECT_LE(std::abs(world.error_s()), world.last.bound_s);
}

TEST(Discipline, WhoIsNeverHeardEnoughDoesNotKeepAColdClockCold) {
  World world(2);
  world.all[1].samples = 3;
  EXPECT_FALSE(world.run(9).synchronised);
  EXPECT_TRUE(world.run(3).synchronised);
}

TEST(Discipline, AClockThatOneSourceMadeIsNotHeldAgainstAnother) {
  World world(2);
  world.all[1].reachable = false;
  EXPECT_TRUE(world.run(100).synchronised);
  world.all[1].reachable = true;
  world.all[1].lie_s = 1;
  EXPECT_EQ(world.tick().state, ClockState::unsynchronised);
  EXPECT_NE(world.last.reason.find("1 of 2 contradict"), std::string::npos) << world.last.reason;
}

TEST(Discipline, FalsetickersBelowHalfChangeNothingAndMoreEndUnsynchronised) {
  for (std::size_t liars = 1; liars <= 4; ++liars) {
    for (const bool alike : {false, true}) {
      World world(5);
      world.run(600);
      for (std::size_t i = 0; i < liars; ++i) {
        world.all[i].lie_s = 1 + (alike ? 0.0 : static_cast<double>(i));
      }
      for (int i = 0; i < 600; ++i) {
        world.tick();
        // Four of five that tell the same lie cannot be told from a step of our oscillator.
        if (liars == 4 && alike) continue;
        ASSERT_EQ(world.last.synchronised, liars <= 2) << liars << alike << world.last.reason;
        if (world.last.synchronised) {
          ASSERT_LE(std::abs(world.error_s()), world.last.bound_s);
        }
      }
    }
  }
}

TEST(Discipline, AFalseMajorityIsNamed) {
  World world(5);
  world.run(600);
  for (std::size_t i = 0; i < 3; ++i) world.all[i].lie_s = 1;
  EXPECT_EQ(world.tick().reason,
            "contested: 3 of 5 sources contradict the clock kept so far, which 2 support");
  EXPECT_EQ(world.last.server.leap, wire::Leap::unknown);
}

TEST(Discipline,
     AFalseMajorityDoesNotWinByWaiting) {  // found by simulation: conspiracy-later-small
  World world(5);
  world.run(600);
  for (std::size_t i = 0; i < 3; ++i) world.all[i].lie_s = 0.03;
  for (int i = 0; i < 20'000; ++i) {
    world.tick(10);
    ASSERT_FALSE(world.last.synchronised) << i << world.last.reason;
  }
  for (auto& s : world.all) s.lie_s = 0;
  EXPECT_TRUE(world.run(3).synchronised) << world.last.reason;
}

// Found by simulation: liar-alone.
TEST(Discipline, AnOutvotedLiarDoesNotWinWhenTheOthersFallSilent) {
  for (const std::size_t sources : {3, 4}) {
    World world(sources);
    world.all[0].lie_s = 0.3;
    world.run(600);
    for (std::size_t i = 1; i < sources; ++i) world.all[i].reachable = false;
    for (int i = 0; i < 20'000; ++i) {
      world.tick(10);
      ASSERT_EQ(world.last.state, ClockState::holdover) << world.last.reason;
      ASSERT_EQ(world.last.verdicts[0].standing, Standing::falseticker);
      ASSERT_LE(std::abs(world.error_s()), world.last.bound_s);
    }
    world.all[0].lie_s = 0;
    EXPECT_EQ(world.tick().state, ClockState::holdover) << "nobody can vouch for it";
    for (auto& s : world.all) s.reachable = true;
    world.tick();
    for (auto& s : world.all) s.reachable = false;
    world.all[0].reachable = true;
    EXPECT_EQ(world.tick().state, ClockState::synchronised) << "it has been right since";
  }
}

TEST(Discipline, OutvotedLiarsAreNoMajorityWhenOneOfTheOthersIsLeft) {
  World world(7);
  for (std::size_t i = 0; i < 3; ++i) world.all[i].lie_s = 0.3;
  EXPECT_TRUE(world.run(600).synchronised) << world.last.reason;
  for (std::size_t i = 4; i < 7; ++i) world.all[i].reachable = false;
  for (int i = 0; i < 1000; ++i) {
    world.tick(10);
    ASSERT_EQ(world.last.state, ClockState::unsynchronised) << world.last.reason;
  }
}

TEST(Discipline, WhoWasOutvotedIsBelievedWhenTheOthersAreConfiguredAway) {
  World world(4);
  world.all[0].lie_s = 0.3;
  world.run(600);
  world.all.resize(1);
  EXPECT_EQ(world.tick().state, ClockState::synchronised) << world.last.reason;
  EXPECT_NEAR(world.error_s(), 0.3, 0.001);
}

// Found by simulation: liar-first.
TEST(Discipline, WhoeverIsBackFirstDoesNotWinAgainstTheClockThatThreeMade) {
  World world(4);
  world.run(600);
  for (auto& s : world.all) s.reachable = false;
  world.run(600);
  world.all[0].reachable = true;
  world.all[0].lie_s = 0.3;
  for (int i = 0; i < 600; ++i) {
    ASSERT_EQ(world.tick().state, ClockState::unsynchronised) << world.last.reason;
  }
  for (auto& s : world.all) s.reachable = true;
  EXPECT_EQ(world.tick().state, ClockState::synchronised) << world.last.reason;
  EXPECT_LT(std::abs(world.error_s()), 0.004);
}

TEST(Discipline, TheLastToFallSilentHasNotMadeTheClockAlone) {
  World world(4);
  world.run(600);
  // Nobody answers any more; for a while that is not yet noticed, and ends with one after the
  // other.
  for (auto& s : world.all) s.reachable = false;
  for (std::size_t gone = 0; gone <= 4; ++gone) {
    world.elapsed_s += 1;
    auto now = world.candidates();
    for (std::size_t i = gone; i < now.size(); ++i) now[i].reachable = true;
    world.clock.update({world.raw(), world.truth() + 5s, {}}, now, world.policy, nullptr);
  }
  world.all[3].reachable = true;
  world.all[3].lie_s = 0.3;
  EXPECT_EQ(world.tick().state, ClockState::unsynchronised) << world.last.reason;
}

TEST(Discipline, AStepThatAllSourcesSeeIsFollowedAtOnce) {
  World world;
  world.run(3600);
  for (auto& s : world.all) s.lie_s = 0.1;  // our oscillator jumped: to us all sources did
  world.tick();
  EXPECT_EQ(world.last.state, ClockState::synchronised);
  EXPECT_NEAR(world.error_s(), 0.1 + 0.0015, 0.0005);
}

TEST(Discipline, AStepSeenBySourceAfterSourceIsFollowedWhenMostHaveSeenIt) {
  World world;
  world.run(3600);
  for (std::size_t i = 0; i < 4; ++i) {
    world.all[i].lie_s = 0.1;
    world.run(16);
    EXPECT_TRUE(i != 2 || std::abs(world.error_s() - 0.1) < 0.005) << "three of four";
  }
  EXPECT_NEAR(world.error_s(), 0.1 + 0.0015, 0.001);
}

TEST(Discipline, MinsourcesUnmetIsHeldOverForTheGraceOnly) {
  World world(3);
  world.policy.selection.minsources = 3;
  world.policy.quorum_grace_s = 100;
  EXPECT_EQ(world.run(60).state, ClockState::synchronised);
  world.all[2].reachable = false;
  EXPECT_EQ(world.run(90).state, ClockState::holdover);
  EXPECT_EQ(world.run(20).state, ClockState::unsynchronised);
  EXPECT_EQ(world.last.reason, "too few sources: 2 agree, 3 are needed (minsources)");
  world.all[2].reachable = true;
  EXPECT_EQ(world.tick().state, ClockState::synchronised);
}

TEST(Discipline, ASleepForgetsWhatWasMeasuredBefore) {
  World world(1);
  world.run(60);
  world.all[0].reachable = true;
  const auto stale = world.candidates();
  world.slept = 12s;
  const Decision d =
      world.clock.update({world.raw() + 1s, world.truth(), world.slept}, stale, {}, nullptr);
  EXPECT_TRUE(d.slept);
  EXPECT_EQ(d.server.leap, wire::Leap::unknown);
  EXPECT_EQ(d.verdicts[0].standing, Standing::waiting);
  EXPECT_EQ(d.reason, "the machine slept for 12 s; no source is usable");
  world.elapsed_s += 5;
  EXPECT_EQ(world.tick().state, ClockState::synchronised);
  EXPECT_FALSE(world.last.slept);
}

// ---- leap seconds ------------------------------------------------------------------------------

struct LeapCase {
  wire::Leap kind;
  bool by_table;
};

void leap_without_error(const LeapCase& c) {
  World world(4, utc(2026, 6, 30, 23h + 50min));
  const PlannedLeap leap{c.kind, utc(2026, 7, 1)};
  world.real_leap = leap;
  LeapTable table{
      .entries = {{utc(2017, 1, 1), 37}, {leap.midnight, c.kind == wire::Leap::insert ? 38 : 36}},
      .expires = utc(2026, 12, 28)};
  if (c.by_table) {
    world.table = &table;
  } else {
    for (std::size_t i = 0; i < 3; ++i) world.all[i].leap = c.kind;  // to the end: they are late
  }
  int announced = 0;
  int stepped = 0;
  for (int i = 0; i < 1200; ++i) {
    // Between two updates, as workers do, every tenth of a second.
    for (int tenth = 0; tenth < 9 && i > 0; ++tenth) {
      world.elapsed_s += 0.1;
      ASSERT_LE(std::abs(world.error_s()), world.last.bound_s) << i << '.' << tenth;
    }
    world.tick(0.1);
    ASSERT_TRUE(world.last.synchronised) << i << world.last.reason;
    ASSERT_LE(std::abs(world.error_s()), world.last.bound_s) << i;
    announced += world.last.server.leap == c.kind ? 1 : 0;
    stepped += world.last.leapt ? 1 : 0;
    const double from_leap_s = seconds(world.truth() - leap.midnight);
    ASSERT_TRUE(from_leap_s < 1 || world.last.server.leap == wire::Leap::none) << i;
    const bool far = std::abs(from_leap_s) > 30;
    const bool near = from_leap_s > -3 && from_leap_s < 17 && std::abs(from_leap_s) > 1.5;
    ASSERT_TRUE(!far || !world.last.hold_samples) << i;
    ASSERT_TRUE(!near || world.last.hold_samples) << i;
  }
  EXPECT_EQ(stepped, 1);
  EXPECT_NEAR(announced, 600, 2);
}

TEST(Discipline, AnInsertedSecondAnnouncedByMostSourcesMakesNoError) {
  leap_without_error({wire::Leap::insert, false});
}
TEST(Discipline, ADeletedSecondAnnouncedByMostSourcesMakesNoError) {
  leap_without_error({wire::Leap::remove, false});
}
TEST(Discipline, ASecondOfTheListIsInsertedThoughNoSourceAnnouncesIt) {
  leap_without_error({wire::Leap::insert, true});
}
TEST(Discipline, ASecondOfTheListIsDeletedThoughNoSourceAnnouncesIt) {
  leap_without_error({wire::Leap::remove, true});
}

TEST(Discipline, AnAnnouncementByAMinorityOrOnAnotherDayIsNotPassedOn) {
  World world(4, utc(2026, 6, 30, 12h));
  world.all[0].leap = world.all[1].leap = wire::Leap::insert;
  EXPECT_EQ(world.tick().server.leap, wire::Leap::none);
  world.all[2].leap = wire::Leap::insert;
  EXPECT_EQ(world.tick().server.leap, wire::Leap::insert);
  World other(4, utc(2026, 6, 29, 12h));
  for (auto& s : other.all) s.leap = wire::Leap::insert;
  EXPECT_EQ(other.tick().server.leap, wire::Leap::none);
}

TEST(Discipline, ALeapSecondInHoldoverHappensAsItWasAnnounced) {
  World world(3, utc(2026, 12, 31, 23h));
  world.real_leap = PlannedLeap{wire::Leap::insert, utc(2027, 1, 1)};
  for (auto& s : world.all) s.leap = wire::Leap::insert;
  world.run(600);
  for (auto& s : world.all) s.reachable = false;
  for (int i = 0; i < 3600; ++i) {
    world.tick();
    ASSERT_EQ(world.last.state, ClockState::holdover);
    ASSERT_LE(std::abs(world.error_s()), world.last.bound_s) << i;
  }
  EXPECT_GT(world.truth(), utc(2027, 1, 1));
}

TEST(Discipline, TheEraOf2036PassesUnnoticed) {
  World world(4, utc(2036, 2, 7, 6h + 20min));
  for (int i = 0; i < 1200; ++i) {
    world.tick();
    ASSERT_EQ(world.last.state, ClockState::synchronised);
    ASSERT_LE(std::abs(world.error_s()), world.last.bound_s);
    const auto served = NtpTimestamp::from(world.last.served(world.raw()));
    ASSERT_GE(difference_s(served, world.last.server.reftime), 0);
    ASSERT_LT(difference_s(served, world.last.server.reftime), 2);
  }
  EXPECT_LT(world.last.server.reftime.bits >> 32, 1200u) << "the new era has begun";
}

// ---- everything at once ------------------------------------------------------------------------

TEST(Discipline, TheBoundHoldsThroughRandomCutsAndMinoritiesOfLiars) {
  std::mt19937_64 dice = seeded_dice(1'234);
  long seconds_served = 0;
  for (int round = 0; round < 40; ++round) {
    World world(5);
    world.drift = uniform(dice, -100e-6, 100e-6);
    for (auto& s : world.all) s.error_s = uniform(dice, -0.010, 0.010);
    for (int i = 0; i < 4000; ++i) {
      if (dice() % 20 == 0) {
        World::Source& s = world.all[dice() % world.all.size()];
        s.reachable = !s.reachable;
      }
      if (dice() % 50 == 0) {  // at most two lie, each its own lie
        for (auto& s : world.all) s.lie_s = 0;
        world.all[dice() % 2].lie_s = uniform(dice, 0.1, 5);
        world.all[2 + dice() % 3].lie_s = uniform(dice, -5, -0.1);
      }
      // With fewer than three honest voters the liars could be most: an undetectable lie.
      int honest = 0;
      int voters = 0;
      for (const auto& s : world.all) {
        honest += s.reachable && s.lie_s == 0 ? 1 : 0;
        voters += s.reachable ? 1 : 0;
      }
      if (2 * honest <= voters && voters > 0) {
        for (auto& s : world.all) s.lie_s = 0;
      }
      world.tick();
      if (world.last.server.leap == wire::Leap::unknown) continue;
      ++seconds_served;
      ASSERT_LE(std::abs(world.error_s()), world.last.bound_s) << "round " << round << " s " << i;
    }
  }
  EXPECT_GT(seconds_served, 100'000);
}

}  // namespace
}  // namespace ntp::clock

// Discipline: servers without a real source that agree among themselves.
#include <gtest/gtest.h>

#include <array>

#include "clock/discipline_fixture.h"

namespace ntp::clock {
namespace {

constexpr std::uint32_t kOrphanId = server::kRefidOrphans + 50;

// Three sources that say of themselves what these ids and strata say.
World orphans(std::array<std::uint32_t, 3> ids, std::array<std::uint8_t, 3> strata) {
  World world(3);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    world.all[i].reference = server::kRefidOrphans + ids[i];
    world.all[i].stratum = strata[i];
  }
  world.policy.unsynchronised = Unsynchronised::orphan;
  world.policy.orphan_id = kOrphanId;
  return world;
}

TEST(Discipline, WhoJoinsAnIsolatedSetFollowsItsLeaderAndAnotherOnceThatIsGone) {
  World world = orphans({90, 80, 10}, {10, 10, 11});  // ids above our own lead all the same
  EXPECT_EQ(world.run(200).state, ClockState::cold) << "a real source may yet come";
  EXPECT_EQ(world.last.server.leap, wire::Leap::unknown);
  const Decision& d = world.run(200);
  EXPECT_EQ(d.state, ClockState::orphan);
  EXPECT_FALSE(d.synchronised);
  EXPECT_FALSE(d.server.synchronised);
  EXPECT_EQ(d.server.stratum, 11);
  EXPECT_EQ(d.server.refid, 0x0a000002u) << "of the address, by which loops are seen";
  EXPECT_EQ(d.leader, 2u);
  EXPECT_EQ(d.verdicts[1].standing, Standing::selected);
  EXPECT_NEAR(world.error_s(), world.all[1].error_s, 1e-6);

  world.all[1].reachable = false;
  EXPECT_EQ(world.tick().leader, 1u);
  EXPECT_NEAR(world.error_s(), world.all[0].error_s, 1e-6);

  world.all[0].stratum = 2;  // a real source is back
  EXPECT_EQ(world.tick().state, ClockState::synchronised);
  EXPECT_EQ(world.last.server.stratum, 3);
  EXPECT_FALSE(world.last.leader);
}

TEST(Discipline, WhoSeesNobodyLeadAmongOrphansLeadsWithoutAJump) {
  World world = orphans({90, 80, 10}, {10, 11, 11});
  world.run(400);
  world.all[0].stratum = 11;  // it follows somebody itself
  EXPECT_EQ(world.tick().server.stratum, 10) << "now we lead";
  EXPECT_EQ(world.last.server.refid, kOrphanId);
  EXPECT_EQ(world.last.reason, "leading: no source is usable");
  EXPECT_EQ(world.last.server.leap, wire::Leap::none);
  EXPECT_NEAR(world.error_s(), world.all[0].error_s, 1e-6);
}

TEST(Discipline, OfOrphansThatLeadAtOnceTheLowestIdGoesOn) {
  World world = orphans({51, 52, 53}, {11, 11, 11});
  EXPECT_EQ(world.run(400).server.stratum, 10);
  for (auto& s : world.all) s.stratum = 10;
  EXPECT_EQ(world.tick().server.stratum, 10) << "they will follow us";
  world.all[2].reference = kOrphanId - 1;
  EXPECT_EQ(world.tick().leader, 3u);
  world.all[2].reference = kOrphanId + 3;
  EXPECT_EQ(world.tick().leader, 1u) << "we no longer lead, so they need not be below us";
  world.all[1].reference = server::kRefidLocal;
  EXPECT_EQ(world.tick().leader, 2u) << "a local clock at this stratum leads always";
}

TEST(Discipline, AnOrphanThatLeadsWithoutAnyTimeTakesThatOfOneThatHasFollowed) {
  World world = orphans({90, 80, 10}, {11, 11, 11});
  world.run(400);
  EXPECT_EQ(world.last.server.stratum, 10);
  EXPECT_NEAR(world.error_s(), world.all[2].error_s, 1e-6) << "not the host's, which is 5 s off";
  world.run(3600);
  EXPECT_NEAR(world.error_s(), world.all[2].error_s, 1e-4) << "taken once, then it runs by itself";
  World alone = orphans({90, 80, 10}, {16, 16, 16});
  alone.run(400);
  EXPECT_NEAR(alone.error_s(), 5, 1e-6) << "the host's";
}

TEST(Discipline, NobodyFollowsOrphansThatAreFarOffOrGoneOrThatNobodyAskedToFollow) {
  World world = orphans({1, 2, 3}, {11, 10, 10});
  world.run(400);
  world.all[0].loop = true;
  world.all[1].reachable = false;
  world.all[2].noselect = true;
  EXPECT_EQ(world.tick().server.stratum, 10);
  world.policy.selection.max_distance_s = 0.001;
  for (auto& s : world.all) s = {.stratum = 10, .reference = server::kRefidOrphans};
  EXPECT_EQ(world.tick().server.stratum, 10) << "root distance above the limit";
  world.policy.selection.max_distance_s = 1.5;
  EXPECT_EQ(world.tick().server.stratum, 11);
}

TEST(Discipline, AnOrphanWithoutAnyTimeDoesNotLeadWhoeverStillFollowsIt) {
  World world = orphans({1, 2, 3}, {16, 16, 16});
  for (auto& s : world.all) s.loop = true;
  EXPECT_EQ(world.run(400).state, ClockState::cold);
  EXPECT_EQ(world.last.server.leap, wire::Leap::unknown);
  EXPECT_EQ(world.last.reason,
            "others still follow this server, or have too few samples to be followed");
  for (auto& s : world.all) s.loop = false;
  world.all[0] = {.stratum = 10, .samples = 3, .reference = server::kRefidOrphans + 60};
  EXPECT_EQ(world.tick().server.leap, wire::Leap::unknown);
  world.all[0].samples = 4;
  EXPECT_EQ(world.tick().leader, 1u);
  world.all[0].reachable = false;
  EXPECT_EQ(world.tick().server.stratum, 10) << "now it has a time";
  World leader = orphans({1, 2, 3}, {16, 16, 16});
  leader.run(400);
  for (auto& s : leader.all) s.loop = true;
  EXPECT_EQ(leader.tick().server.stratum, 10) << "it was the leader before they followed";
}

}  // namespace
}  // namespace ntp::clock

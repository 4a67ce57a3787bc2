// SourceSet: pools.
#include <gtest/gtest.h>

#include "client/source_set_fixture.h"

namespace ntp::client {
namespace {

using namespace testing;
using namespace std::chrono_literals;

TEST(SourceSet, UsesNoMoreThanFourOfAnAnswerHoweverLong) {  // RELIABILITY A30
  World world;
  world.names["pool.example"] = hosts(1, 89);
  world.configure({pool("pool.example")});
  world.run(30min);
  EXPECT_EQ(world.in_use().size(), 4u);
  EXPECT_EQ(world.asked.size(), 4u);
  // Even when all of them turn out bad.
  World evil;
  evil.names["pool.example"] = hosts(1, 89);
  for (int i = 1; i <= 89; ++i) evil.manners[host(i)] = World::Manner::silent;
  evil.configure({pool("pool.example")});
  evil.run(60s);
  EXPECT_EQ(evil.looked_up["pool.example"].size(), 1u);
  EXPECT_EQ(evil.asked.size(), 4u);
}

TEST(SourceSet, ReplacesThoseOfAPoolThatDoNotAnswer) {
  World world;
  world.names["pool.example"] = hosts(1, 4);
  world.manners[host(2)] = World::Manner::silent;
  world.manners[host(3)] = World::Manner::denies;
  world.configure({pool("pool.example")});
  world.run(50s);
  EXPECT_EQ(world.in_use(), (std::set{host(1), host(2), host(3), host(4)}));
  world.names["pool.example"] = hosts(4, 20);
  world.run(5min);
  EXPECT_EQ(world.in_use(), (std::set{host(1), host(4), host(5), host(6)}));
  // And not by themselves right away.
  world.manners[host(5)] = World::Manner::silent;
  world.manners[host(2)] = World::Manner::answers;
  world.names["pool.example"] = {host(2), host(3), host(7)};
  world.run(9h);
  EXPECT_TRUE(world.in_use().contains(host(2)));  // it was silent: 10 minutes are enough
  EXPECT_FALSE(world.in_use().contains(host(3)));
}

TEST(SourceSet, ReplacesAFalsetickerOfAPoolAfterAWhile) {
  World world;
  world.names["pool.example"] = hosts(1, 8);
  world.configure({pool("pool.example")});
  world.run(10min);
  const auto liar = world.set.active()[2];
  world.set.set_falseticker(liar.id, true, world.now);
  world.run(5min);
  EXPECT_TRUE(world.in_use().contains(liar.address.address));
  world.set.set_falseticker(liar.id, false, world.now);  // it was a mistake
  world.set.set_falseticker(liar.id, true, world.now);
  world.run(8min);
  EXPECT_TRUE(world.in_use().contains(liar.address.address));
  world.run(10min);
  EXPECT_FALSE(world.in_use().contains(liar.address.address));
  EXPECT_EQ(world.in_use().size(), 4u);
  EXPECT_EQ(world.count("it disagrees with the majority"), 1);
}

TEST(SourceSet, KeepsTheFalsetickerOfAServer) {  // its other addresses are the same clock
  World world;
  world.names["a.example"] = hosts(1, 2);
  world.configure({server("a.example")});
  world.run(1min);
  world.set.set_falseticker(world.set.active()[0].id, true, world.now);
  world.run(5h);
  EXPECT_EQ(world.in_use(), std::set{host(1)});
  EXPECT_TRUE(world.set.report()[0].associations[0].falseticker);
}

TEST(SourceSet, FillsAPoolThatHasTooFewWithoutTiringTheResolver) {
  World world;
  world.names["pool.example"] = hosts(1, 2);
  world.configure({pool("pool.example")});
  world.run(10min);
  EXPECT_EQ(world.in_use().size(), 2u);
  world.names["pool.example"] = hosts(2, 5);
  world.run(1h);
  EXPECT_EQ(world.in_use().size(), 4u);
  EXPECT_LE(world.looked_up["pool.example"].size(), 7u);
}

}  // namespace
}  // namespace ntp::client

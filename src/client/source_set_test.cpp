#include "client/source_set.h"

#include <gtest/gtest.h>

#include "client/source_set_fixture.h"

namespace ntp::client {
namespace {

using namespace testing;
using namespace std::chrono_literals;

TEST(SourceSet, AsksANumericAddressWithoutTheResolver) {
  World world;
  world.configure({server("198.51.100.1"), server("2001:db8::1")});
  world.run(1s);
  EXPECT_EQ(world.in_use(), (std::set{host(1), *parse_ip("2001:db8::1")}));
  EXPECT_EQ(world.asked[host(1)].size(), 1u);
  world.run(3h);
  EXPECT_TRUE(world.looked_up.empty());
  EXPECT_EQ(world.set.report()[0].standing, "reachable");
}

TEST(SourceSet, NothingIsDueWithoutSources) {
  World world;
  EXPECT_FALSE(world.set.next_deadline());
  world.configure({});
  EXPECT_TRUE(world.set.empty());
  EXPECT_FALSE(world.set.next_deadline());
}

TEST(SourceSet, RefreshesTheAddressesOfANameHourly) {
  World world;
  world.names["a.example"] = hosts(1, 2);
  world.configure({server("a.example")});
  world.run(10h);
  const auto& times = world.looked_up["a.example"];
  EXPECT_GE(times.size(), 10u);
  EXPECT_LE(times.size(), 11u);
  for (std::size_t i = 1; i < times.size(); ++i) {
    EXPECT_GE(times[i] - times[i - 1], 1h);
    EXPECT_LE(times[i] - times[i - 1], 66min);
  }
  EXPECT_EQ(world.in_use(), std::set{host(1)});  // one is used
  EXPECT_FALSE(world.asked.contains(host(2)));
}

TEST(SourceSet, KeepsAServerThatAnswersWhenItsNameMovesElsewhere) {
  World world;
  world.names["a.example"] = hosts(1, 1);
  world.configure({server("a.example")});
  world.run(30min);
  world.names["a.example"] = hosts(2, 2);
  world.run(5h);
  EXPECT_EQ(world.in_use(), std::set{host(1)});
  world.manners[host(1)] = World::Manner::silent;
  world.run(2h);
  EXPECT_EQ(world.in_use(), std::set{host(2)});
}

TEST(SourceSet, BacksOffFromAResolverThatFailsAndSaysSoOnce) {
  World world;
  world.configure({server("a.example")});
  world.run(24h);
  const auto& times = world.looked_up["a.example"];
  double expected_s = 2;
  ASSERT_GT(times.size(), 20u);
  EXPECT_LT(times.size(), 40u);
  for (std::size_t i = 1; i < times.size(); ++i) {
    EXPECT_GE(seconds(times[i] - times[i - 1]), expected_s);
    EXPECT_LE(seconds(times[i] - times[i - 1]), expected_s * 1.25);
    expected_s = std::min(2 * expected_s, 3600.0);
  }
  EXPECT_EQ(world.count("cannot be resolved"), 1);
  EXPECT_EQ(world.set.report()[0].standing, "its name cannot be resolved");
  world.names["a.example"] = hosts(1, 1);
  world.run(2h);
  EXPECT_EQ(world.count("can be resolved again"), 1);
  EXPECT_EQ(world.in_use(), std::set{host(1)});
}

TEST(SourceSet, DoesNotWaitForeverForAResolver) {
  World world;
  world.resolver_is_dead = true;
  world.configure({server("a.example"), server("198.51.100.1")});
  world.run(1h);
  EXPECT_GE(world.looked_up["a.example"].size(), 5u);
  EXPECT_LE(world.looked_up["a.example"].size(), 12u);
  EXPECT_GE(world.asked[host(1)].size(), 60u);  // the other one is not held up
}

TEST(SourceSet, AnEmptyAnswerIsAFailure) {
  World world;
  world.names["a.example"] = {};
  world.configure({server("a.example")});
  world.run(1h);
  EXPECT_EQ(world.count("cannot be resolved"), 1);
  EXPECT_GT(world.looked_up["a.example"].size(), 8u);
}

TEST(SourceSet, TurnsToTheNextAddressOfAServerThatDoesNotAnswer) {
  World world;
  world.names["a.example"] = hosts(1, 3);
  world.manners[host(1)] = World::Manner::silent;
  world.configure({server("a.example")});
  world.run(30s);
  EXPECT_EQ(world.in_use(), std::set{host(2)});
  EXPECT_EQ(world.asked[host(1)].size(), 8u);
  EXPECT_FALSE(world.asked.contains(host(3)));
  EXPECT_EQ(world.count("(198.51.100.1:123) does not answer"), 1);
  EXPECT_EQ(world.count("(198.51.100.2:123) answers"), 1);
  world.run(1h);
  world.manners[host(2)] = World::Manner::silent;
  world.manners[host(3)] = World::Manner::silent;
  world.manners[host(1)] = World::Manner::answers;
  world.run(1h);
  EXPECT_EQ(world.in_use(), std::set{host(1)});
}

TEST(SourceSet, LeavesAFamilyThatTheMachineLacksWithinSeconds) {
  World world;
  world.names["a.example"] = {*parse_ip("2001:db8::1"), host(1)};
  world.manners[*parse_ip("2001:db8::1")] = World::Manner::unsendable;
  world.configure({server("a.example")});
  world.run(10s);
  EXPECT_EQ(world.in_use(), std::set{host(1)});
  EXPECT_FALSE(world.asked.contains(*parse_ip("2001:db8::1")));
  EXPECT_GE(world.asked[host(1)].size(), 1u);
}

TEST(SourceSet, KeepsTryingTheOnlyAddressThereIs) {
  World world;
  world.names["a.example"] = hosts(1, 1);
  world.manners[host(1)] = World::Manner::silent;
  world.configure({server("a.example")});
  world.run(24h);
  const auto questions = world.asked[host(1)].size();
  EXPECT_GE(questions, 24u * 3600 / 320);
  EXPECT_LE(questions, 24u * 3600 / 256 + 20);
  EXPECT_LE(world.looked_up["a.example"].size(), 35u);  // and not the resolver all the time
  world.manners[host(1)] = World::Manner::answers;
  world.run(6min);
  EXPECT_EQ(world.set.report()[0].standing, "reachable");
}

TEST(SourceSet, StopsAskingWhoDeniesForADay) {
  World world;
  world.manners[host(1)] = World::Manner::denies;
  world.configure({server("198.51.100.1")});
  world.run(23h);
  EXPECT_EQ(world.asked[host(1)].size(), 1u);
  EXPECT_EQ(world.count("no longer asked: the server denies access (DENY)"), 1);
  EXPECT_EQ(world.set.report()[0].standing, "denies access");
  EXPECT_EQ(world.set.report()[0].associations[0].kiss, "DENY");
  world.manners[host(1)] = World::Manner::answers;
  world.run(2h);
  EXPECT_GT(world.asked[host(1)].size(), 8u);
}

TEST(SourceSet, TurnsToAnotherAddressWhenOneDenies) {
  World world;
  world.names["a.example"] = hosts(1, 2);
  world.manners[host(1)] = World::Manner::denies;
  world.configure({server("a.example")});
  world.run(20h);
  EXPECT_EQ(world.asked[host(1)].size(), 1u);
  EXPECT_EQ(world.in_use(), std::set{host(2)});
}

TEST(SourceSet, SaysWhenAServerAsksForFewerQuestions) {
  World world;
  world.manners[host(1)] = World::Manner::rates;
  world.configure({server("198.51.100.1")});
  world.run(24h);
  EXPECT_EQ(world.set.report()[0].associations[0].poll, 10);
  EXPECT_LE(world.asked[host(1)].size(), 24u * 3600 / 1024 + 20);
  EXPECT_GE(world.count("source 198.51.100.1 asks for fewer questions"), 1);
  EXPECT_LE(world.count("source 198.51.100.1 asks for fewer questions"), 4);
  EXPECT_EQ(world.count("source 198.51.100.1 gives no good answer: the server asks for fewer"), 1);
  EXPECT_EQ(world.count("does not answer"), 0);
  const auto report = world.set.report()[0];
  EXPECT_EQ(report.standing, "its answers are refused");
  EXPECT_EQ(report.associations[0].refused, Reject::kiss_rate);
}

TEST(SourceSet, UsesAnAddressOnceAcrossSources) {
  World world;
  world.names["a.example"] = hosts(1, 2);
  world.names["b.example"] = hosts(1, 2);
  world.names["c.example"] = hosts(1, 1);
  world.names["pool.example"] = hosts(1, 5);
  world.configure({server("a.example"), server("b.example"), server("c.example"),
                   pool("pool.example"), server("198.51.100.1")});
  world.run(1h);
  EXPECT_EQ(world.in_use(), (std::set{host(1), host(2), host(3), host(4), host(5)}));
  EXPECT_EQ(world.set.report()[2].standing, "all its addresses are in use");
  EXPECT_EQ(world.count("source c.example has no address that may be used"), 1);
  // Who leaves makes room.
  world.configure({server("c.example"), server("b.example")});
  world.run(1h);
  EXPECT_EQ(world.in_use(), (std::set{host(1), host(2)}));
}

TEST(SourceSet, KeepsWhatItKnowsOverAReload) {
  World world;
  world.names["pool.example"] = hosts(1, 9);
  world.configure({server("198.51.100.20"), pool("pool.example")});
  world.run(20min);
  const auto before = world.set.active();
  auto changed = pool("pool.example");
  changed.minpoll = 4;
  changed.maxpoll = 5;
  changed.prefer = true;
  changed.max_sources = 3;
  world.configure({changed, server("198.51.100.20"), server("198.51.100.21")});
  world.run(1s);
  const auto after = world.set.active();
  ASSERT_EQ(after.size(), 5u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(after[i].id, before[i + 1].id);
    EXPECT_TRUE(after[i].prefer);
  }
  EXPECT_EQ(after[3].id, before[0].id);
  EXPECT_EQ(world.set.report()[0].associations[0].poll, 5);
  EXPECT_GE(world.set.report()[0].associations[0].samples, 25u);
  EXPECT_EQ(world.count("max_sources is lower now"), 1);
  world.configure({});
  world.run(1s);
  world.step();
  EXPECT_EQ(world.count("the configuration no longer names it"), 5);
}

TEST(SourceSet, TakesNoNoticeOfWhatIsGone) {
  World world;
  world.configure({server("a.example"), server("198.51.100.1")});
  world.set.on_timer(world.now, world.random);
  const auto wanted = world.set.take_resolutions();
  ASSERT_EQ(wanted.size(), 1u);
  const auto id = world.set.active()[0].id;
  world.configure({});
  const auto addresses = hosts(1, 4);
  world.set.on_resolved(wanted[0].source, addresses, world.now, world.random);
  world.set.on_sent(id, world.now);
  world.set.on_send_failed(id, SendError::other, world.now, world.random);
  world.set.set_poll(id, 3);
  world.set.set_falseticker(id, true, world.now);
  EXPECT_FALSE(world.set.is_open(id));
  EXPECT_EQ(world.set.on_datagram(id, {}).error(), Reject::unexpected);
  EXPECT_TRUE(world.set.active().empty());
}

TEST(SourceSet, TriesEverythingAgainWhenTheNetworkIsBack) {
  World world;
  world.manners[host(1)] = World::Manner::unsendable;
  world.configure({server("198.51.100.1"), server("a.example")});
  world.run(5h);
  EXPECT_EQ(world.set.report()[0].standing, "cannot be sent to");
  world.manners.clear();
  world.names["a.example"] = hosts(2, 2);
  world.set.retry_now(world.now);
  world.run(3s);
  EXPECT_EQ(world.set.report()[0].standing, "reachable");
  EXPECT_EQ(world.set.report()[1].standing, "reachable");
}

TEST(SourceSet, KeepsItsInvariantsThroughAnyWeather) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    SeededRandom dice(seed + 100);
    const auto die = [&dice](int sides) {
      return static_cast<int>(dice.next() % static_cast<std::uint64_t>(sides));
    };
    std::vector<SourceOptions> options{server("a.example"), server("198.51.100.1"),
                                       pool("p.example"), pool("q.example")};
    world.configure(options);
    for (int i = 0; i < 250; ++i) {
      const int what = die(8);
      const auto manner = static_cast<World::Manner>(die(5));
      if (what < 3) world.manners[host(die(12))] = die(2) == 0 ? World::Manner::answers : manner;
      const std::string name = std::string(1, "apq"[die(3)]) + ".example";
      if (what == 3) world.names[name] = hosts(die(6), 5 + die(90));
      if (what == 4 && die(4) == 0) world.names.erase(name);
      if (what == 5) world.resolver_is_dead = die(8) == 0;
      const auto active = world.set.active();
      if (what == 6 && !active.empty()) {
        const auto& one = active[dice.next() % active.size()];
        world.set.set_falseticker(one.id, die(2) == 0, world.now);
        world.set.set_poll(one.id, die(20) - 6);
      }
      if (what == 7 && die(8) == 0) {
        options[static_cast<std::size_t>(die(4))].max_sources = 1 + die(6);
        world.configure(options);
      }
      world.run(std::chrono::seconds(die(900)));
      if (HasFatalFailure()) return;
      (void)world.in_use();  // each once
      for (const auto& report : world.set.report()) {
        const int most = report.options.mode == SourceMode::pool ? report.options.max_sources : 1;
        // A reload counts from the next step on.
        if (what != 7) {
          ASSERT_LE(report.associations.size(), static_cast<std::size_t>(most));
        }
        ASSERT_FALSE(report.standing.empty());
      }
    }
    for (const auto& [address, times] : world.asked) {
      // Whatever happens, nobody is asked more than a burst and its poll allow.
      const double hours = seconds(world.now - kStart) / 3600;
      ASSERT_LT(static_cast<double>(times.size()), 60 + hours * 3600 / 20) << to_string(address);
    }
  }
}

}  // namespace
}  // namespace ntp::client

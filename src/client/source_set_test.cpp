#include "client/source_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "client/association_fixture.h"
#include "wire/refid.h"

namespace ntp::client {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using Addresses = std::vector<IpAddress>;

IpAddress host(int number) {
  return IpAddress::v4(198, 51, 100, static_cast<std::uint8_t>(number));
}

Addresses hosts(int first, int last) {
  Addresses all;
  for (int i = first; i <= last; ++i) all.push_back(host(i));
  return all;
}

// Servers and a resolver around a SourceSet, in virtual time.
class World {
 public:
  explicit World(std::uint64_t seed = 3) : random(seed) {}

  enum class Manner { answers, silent, denies, rates, unsendable };

  void configure(const std::vector<SourceOptions>& options) { set.configure(options, now, random); }

  void run(std::chrono::nanoseconds span) {
    const RawTime until = now + span;
    int idle = 0;
    while (true) {
      const auto deadline = set.next_deadline();
      if (!deadline || *deadline > until) break;
      idle = *deadline > now ? 0 : idle + 1;
      ASSERT_LT(idle, 20) << "a deadline that does not move";
      now = std::max(now, *deadline);
      step();
    }
    now = until;
  }

  void step() {
    set.on_timer(now, random);
    for (auto& each : set.take_transmits()) send(each);
    for (auto& each : set.take_resolutions()) resolve(each);
    for (auto& each : set.take_events()) events.push_back(describe(each));
  }

  std::set<IpAddress> in_use() const {
    std::set<IpAddress> all;
    for (const auto& each : set.active()) {
      EXPECT_TRUE(all.insert(each.address.address).second) << "used twice";
    }
    return all;
  }
  int count(std::string_view event) const {
    return static_cast<int>(std::ranges::count_if(events, [event](const std::string& line) {
      return line.find(event) != std::string::npos;
    }));
  }

  SourceSet set;
  SeededRandom random;
  RawTime now = kStart;
  std::map<IpAddress, Manner> manners;
  std::map<std::string, Addresses> names;  // absent: the resolver fails
  bool resolver_is_dead = false;
  std::map<IpAddress, std::vector<RawTime>> asked;
  std::map<std::string, std::vector<RawTime>> looked_up;
  std::vector<std::string> events;

 private:
  void send(const Outgoing& outgoing) {
    const Endpoint to = outgoing.transmit.to;
    const Manner manner = manners.contains(to.address) ? manners[to.address] : Manner::answers;
    if (manner == Manner::unsendable) {
      set.on_send_failed(outgoing.association, SendError::unreachable, now, random);
      return;
    }
    asked[to.address].push_back(now);
    set.on_sent(outgoing.association, now);
    if (manner == Manner::silent) return;
    auto reply = good_reply(header_of(outgoing.transmit).xmt.bits, now);
    if (manner != Manner::answers) {
      reply.stratum = 0;
      reply.leap = wire::Leap::unknown;
      reply.refid = wire::refid_of(manner == Manner::denies ? "DENY" : "RATE");
    }
    const auto bytes = octets_of(reply);
    const auto sample =
        set.on_datagram(outgoing.association,
                        {.datagram = bytes, .from = to, .at = now + kRoundTrip, .base = kBase});
    EXPECT_EQ(sample.has_value(), manner == Manner::answers)
        << (sample ? "" : name(sample.error()));
    EXPECT_FALSE(set.is_open(outgoing.association));
  }

  void resolve(const Resolve& wanted) {
    looked_up[wanted.name].push_back(now);
    if (resolver_is_dead) return;
    const auto found = names.find(wanted.name);
    if (found == names.end()) {
      set.on_resolve_failed(wanted.source, now, random);
    } else {
      set.on_resolved(wanted.source, found->second, now, random);
    }
  }
};

SourceOptions server(std::string name) { return {.host = std::move(name)}; }
SourceOptions pool(std::string name) { return {.host = std::move(name), .mode = SourceMode::pool}; }

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
  EXPECT_EQ(world.asked[host(1)].size(), static_cast<std::size_t>(kBurst));
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
  EXPECT_GE(world.count("asks for fewer questions"), 1);
  EXPECT_LE(world.count("asks for fewer questions"), 4);
}

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

TEST(SourceSet, NeverAsksThisMachineItself) {
  World world;
  world.set.set_own({host(1), IpAddress::v4(127, 0, 0, 1)}, {});
  world.names["a.example"] = {host(1), host(2)};
  SourceOptions elsewhere = server("198.51.100.1");
  elsewhere.port = 1123;
  world.configure({server("a.example"), server("198.51.100.1"), server("127.0.0.1"), elsewhere});
  world.run(10s);
  std::set<std::string> used;
  for (const auto& each : world.set.active()) used.insert(to_string(each.address));
  EXPECT_EQ(used,
            (std::set<std::string>{"198.51.100.2:123", "127.0.0.1:123", "198.51.100.1:1123"}));
}

TEST(SourceSet, OwnAddressesAreThoseThatAreServed) {
  const auto v6 = *parse_ip("2001:db8::1");
  const std::vector<IpAddress> local{IpAddress::v4(127, 0, 0, 1), IpAddress::v4(192, 0, 2, 1), v6};
  const Endpoint any{.address = IpAddress::v4(0, 0, 0, 0), .port = 123};
  EXPECT_EQ(own_addresses(std::vector{any}, local).served_at_123,
            (std::vector{local[0], local[1]}));
  const OwnAddresses other =
      own_addresses(std::vector<Endpoint>{{.address = {IpAddress::Family::v6, {}}, .port = 1123},
                                          {.address = local[0], .port = 1123},
                                          {.address = host(7), .port = 123}},
                    local);
  EXPECT_EQ(other.served_at_123, (std::vector{host(7)}));
  EXPECT_EQ(other.refids, (std::vector{wire::refid_of(v6)}));
}

TEST(SourceSet, RefusesAServerThatIsSynchronisedToUs) {
  World world;
  const std::uint32_t served[] = {0x12345678};
  const auto own = *parse_ip("2001:db8::1");
  world.set.set_own({IpAddress::v4(192, 0, 2, 99), own, IpAddress::v4(127, 0, 0, 1)}, served);
  world.configure({server("198.51.100.1")});
  const std::pair<std::uint32_t, bool> refids[] = {{0xc0000263, false},
                                                   {0x39ab9b37, false},
                                                   {0x12345678, false},
                                                   {0x7f000001, true},
                                                   {0xcb007109, true}};
  for (const auto& [refid, good] : refids) {
    std::vector<Outgoing> out;
    while (out.empty()) {
      world.now = *world.set.next_deadline();
      world.set.on_timer(world.now, world.random);
      out = world.set.take_transmits();
    }
    auto reply = good_reply(header_of(out[0].transmit).xmt.bits, world.now);
    reply.refid = refid;
    const auto bytes = octets_of(reply);
    const auto sample = world.set.on_datagram(out[0].association, {.datagram = bytes,
                                                                   .from = out[0].transmit.to,
                                                                   .at = world.now + kRoundTrip,
                                                                   .base = kBase});
    EXPECT_EQ(sample.has_value(), good) << std::hex << refid;
    if (!good) {
      EXPECT_EQ(sample.error(), Reject::loop);
    }
  }
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

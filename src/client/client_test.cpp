#include "client/client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "client/association_fixture.h"

namespace ntp::client {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using clock::ClockState;

constexpr int kPrecision = -24;

// A client, its host's clock, which is an hour behind, and servers of which each has its own idea
// of the time; all of them at the same rate.
class World {
 public:
  explicit World(const std::map<std::string, double>& offsets,
                 const clock::ClockFilter::Memory& memory = {})
      : offsets_(offsets), client(moment(), kPrecision, memory) {
    for (const auto& [host, offset_s] : offsets_) {
      settings_.sources.push_back({.host = host, .maxpoll = 8});
    }
    client.configure(settings_, now_, random_);
  }

  clock::Moment moment() const {
    return {.raw = now_, .host = truth(now_) - 1h, .boot_lead = boot_lead_};
  }

  void run(std::chrono::nanoseconds span) {
    const RawTime until = now_ + span;
    while (client.next_deadline() <= until) {
      now_ = std::max(now_, client.next_deadline());
      client.on_timer(moment(), random_);
      for (const Outgoing& out : client.sources().take_transmits()) serve(out);
    }
    now_ = until;
    client.on_timer(moment(), random_);
  }

  void skip(std::chrono::nanoseconds span) { now_ += span; }
  void sleep(std::chrono::nanoseconds span) { boot_lead_ += span; }
  void configure(const ClientSettings& settings) { client.configure(settings, now_, random_); }
  const ClientSettings& settings() const { return settings_; }
  RawTime now() const { return now_; }

  // Served minus true.
  double error_s() const {
    const auto& served = client.decision().served;
    return seconds(served(now_) - truth(now_));
  }

  const Tracked& source(const std::string& host) {
    tracked_ = client.tracked(now_);
    const auto found = std::ranges::find_if(tracked_, [&host](const Tracked& t) {
      return to_string(t.association.address) == host + ":123";
    });
    EXPECT_NE(found, tracked_.end()) << host;
    return *found;
  }

  void tell(const std::string& host, double offset_s) { offsets_[host] = offset_s; }

  std::string kiss{};  // what all of them answer instead of the time

  bool silent = false;
  std::map<AssociationId, Transmit> asked{};  // the last question

 private:
  static RealTime truth(RawTime raw) { return kBase(raw); }

  void serve(const Outgoing& out) {
    client.sources().on_sent(out.association, now_);
    asked.insert_or_assign(out.association, out.transmit);
    if (silent) return;
    const auto extra = std::chrono::nanoseconds(random_.next() % 20'000);  // on the way there
    auto reply = good_reply(header_of(out.transmit).xmt.bits, now_);
    const double offset_s = offsets_.at(to_string(out.transmit.to.address));
    const auto theirs = truth(now_) + std::chrono::nanoseconds(std::llround(offset_s * 1e9));
    reply.rec = NtpTimestamp::from(theirs + 200us + extra);
    reply.xmt = NtpTimestamp::from(theirs + 250us + extra);
    reply.reftime = NtpTimestamp::from(theirs - 10s);
    reply.root_delay = NtpShort::rounded_up(0.001);
    reply.root_dispersion = NtpShort::rounded_up(0.001);
    if (!kiss.empty()) {
      reply.leap = wire::Leap::unknown;
      reply.stratum = 0;
      for (const char c : kiss) reply.refid = reply.refid << 8 | static_cast<std::uint8_t>(c);
    }
    const auto bytes = octets_of(reply);
    const auto reject =
        client.on_datagram(out.association, bytes, out.transmit.to, now_ + 450us + extra, moment());
    EXPECT_EQ(reject.has_value(), !kiss.empty()) << describe(*reject);
  }

  SeededRandom random_{7};
  RawTime now_ = kStart;
  std::chrono::nanoseconds boot_lead_{};
  std::map<std::string, double> offsets_;
  ClientSettings settings_{};
  std::vector<Tracked> tracked_{};

 public:
  Client client;
};

TEST(Client, ServesNoTimeBeforeAnybodyHasTold) {
  World world({{"192.0.2.7", 0.0}});
  world.silent = true;
  world.run(10s);
  EXPECT_EQ(world.client.decision().state, ClockState::cold);
  EXPECT_EQ(world.client.decision().server.leap, wire::Leap::unknown);
  EXPECT_FALSE(world.client.memory());
  EXPECT_FALSE(world.source("192.0.2.7").estimate);
}

TEST(Client, ServesItsSourcesTimeWhateverTheHostSays) {
  World world({{"192.0.2.7", 0.0}});
  world.run(30s);
  const auto& decision = world.client.decision();
  EXPECT_EQ(decision.state, ClockState::synchronised);
  EXPECT_TRUE(decision.server.own_clock && decision.server.synchronised);
  EXPECT_EQ(decision.server.stratum, 3);
  EXPECT_GT(decision.bound_s, 0);
  EXPECT_LE(std::abs(world.error_s()), decision.bound_s);
  EXPECT_LT(std::abs(world.error_s()), 0.001);
  EXPECT_TRUE(world.client.memory());
  const auto& source = world.source("192.0.2.7");
  ASSERT_TRUE(source.estimate);
  EXPECT_NEAR(source.estimate->offset_s, 3600, 0.001) << "against the base, which is the host's";
  EXPECT_NEAR(source.delay_s, 400e-6, 40e-6);
}

TEST(Client, TellsTheLiarAmongThree) {
  World world({{"192.0.2.7", 0.0}, {"192.0.2.8", 10.0}, {"192.0.2.9", 0.0001}});
  world.run(60s);
  EXPECT_EQ(world.client.decision().state, ClockState::synchronised);
  EXPECT_LT(std::abs(world.error_s()), 0.001);
  EXPECT_EQ(world.source("192.0.2.8").verdict.standing, clock::Standing::falseticker);
  for (const char* host : {"192.0.2.7", "192.0.2.9"}) {
    EXPECT_TRUE(is_used(world.source(host).verdict.standing)) << host;
  }
}

TEST(Client, NamesTheLiarInTheLogOnceAndAgainWhenItAgrees) {
  World world({{"192.0.2.7", 0.0}, {"192.0.2.8", 10.0}, {"192.0.2.9", 0.0001}});
  const auto told = [&world] {
    std::vector<std::string> lines;
    for (const auto& event : world.client.sources().take_events()) {
      using enum Event::Kind;
      if (event.kind == lies || event.kind == agrees) lines.push_back(describe(event));
    }
    return lines;
  };
  world.run(60s);
  const auto lines = told();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].starts_with(
      "source 192.0.2.8 is not believed: falseticker: offset +10.000 s outside the majority"))
      << lines[0];
  world.tell("192.0.2.8", 0.0);
  world.run(3600s);
  EXPECT_EQ(told(), std::vector<std::string>{"source 192.0.2.8 is no longer a falseticker"});
}

TEST(Client, HoldsTheTimeOverWhenAllFallSilentAndSaysHowUnsureItIs) {
  World world({{"192.0.2.7", 0.0}});
  world.run(600s);
  const double bound_s = world.client.decision().bound_s;
  world.silent = true;
  world.run(4h);
  EXPECT_EQ(world.client.decision().state, ClockState::holdover);
  EXPECT_GT(world.client.decision().bound_s, bound_s);
  EXPECT_LE(std::abs(world.error_s()), world.client.decision().bound_s);
  EXPECT_EQ(world.source("192.0.2.7").association.reach, 0);
  EXPECT_TRUE(world.client.memory()) << "what was learned is worth keeping";
}

TEST(Client, AsksLessOftenOnceTheClockIsKnown) {
  World world({{"192.0.2.7", 0.0}});
  world.run(30s);
  EXPECT_EQ(world.source("192.0.2.7").association.poll, 6);
  world.run(6h);
  EXPECT_EQ(world.source("192.0.2.7").association.poll, 8) << "as far as the configuration allows";
}

TEST(Client, BeginsAnewAfterTheMachineSlept) {
  World world({{"192.0.2.7", 0.0}});
  world.run(600s);
  const auto asked = world.source("192.0.2.7").association.questions;
  world.silent = true;
  world.sleep(1h);
  world.run(1s);
  EXPECT_FALSE(world.client.decision().synchronised) << "nobody knows how long it was";
  EXPECT_FALSE(world.source("192.0.2.7").estimate);
  world.silent = false;
  world.run(20s);
  EXPECT_GE(world.source("192.0.2.7").association.questions, asked + 6) << "a burst";
  EXPECT_TRUE(world.client.decision().synchronised);
}

// So does ntpd after its start and after a step: it has no time, and what it said before may be
// wrong.
TEST(Client, DoesNotGoOnBelievingAServerThatSaysInitOrStep) {
  for (const char* code : {"INIT", "STEP"}) {
    World world({{"192.0.2.7", 0.0}});
    world.run(600s);
    ASSERT_EQ(world.client.decision().state, ClockState::synchronised);
    world.kiss = code;
    world.run(300s);
    EXPECT_EQ(world.source("192.0.2.7").verdict.standing, clock::Standing::unsynchronised) << code;
    EXPECT_EQ(world.client.decision().state, ClockState::holdover) << code;
    world.kiss.clear();
    world.run(300s);
    EXPECT_EQ(world.client.decision().state, ClockState::synchronised) << code;
  }
}

// The program has run for a month without a source; meanwhile the oscillator may have gone anywhere
// that its wander allows.
TEST(Client, WhatItRemembersOfTheOscillatorAges) {
  for (const auto age : {0h, 720h}) {
    World world({{"192.0.2.7", 0.0}}, {.rate = 1e-6, .rate_sd = 1e-9, .wander = 1e-18});
    world.skip(age);
    world.run(1s);
    const auto estimate = world.source("192.0.2.7").estimate;
    ASSERT_TRUE(estimate);
    EXPECT_NEAR(std::sqrt(estimate->rate_var), age > 0h ? 1.6e-6 : 1e-9, age > 0h ? 1e-7 : 5e-9);
  }
}

TEST(Client, ForgetsASourceThatIsConfiguredAway) {
  World world({{"192.0.2.7", 0.0}, {"192.0.2.8", 0.0}});
  world.run(30s);
  auto settings = world.settings();
  settings.sources.pop_back();
  world.configure(settings);
  world.run(2s);
  ASSERT_EQ(world.client.tracked(world.now()).size(), 1u);
  EXPECT_TRUE(world.source("192.0.2.7").estimate) << "who stays keeps what is known";
  EXPECT_EQ(world.client.decision().verdicts.size(), 1u);
}

TEST(Client, AForgedAnswerIsNamedAndChangesNothing) {
  World world({{"192.0.2.7", 0.0}});
  world.run(30s);
  const auto before = world.client.decision().served(world.now());
  const auto id = world.source("192.0.2.7").association.id;
  const auto bytes = octets_of(good_reply(0x1234, world.now()));
  EXPECT_EQ(world.client.on_datagram(id, bytes, kServer, world.now(), world.moment()),
            Reject::unexpected);
  EXPECT_EQ(world.client.decision().served(world.now()), before);
}

// RELIABILITY A06: with the servers' addresses and everything else right but the nonce, which only
// who sees the question knows. Kisses of death and crypto-NAKs among them.
TEST(Client, AMillionForgedAnswersChangeNothing) {
  World world({{"192.0.2.7", 0.0}, {"192.0.2.8", 0.0}, {"192.0.2.9", 0.0}});
  world.run(600s);
  world.silent = true;
  const auto all_open = [&world] {
    return std::ranges::all_of(world.asked, [&world](const auto& each) {
      return world.client.sources().is_open(each.first);
    });
  };
  for (int i = 0; i < 10'000 && !all_open(); ++i) world.run(10ms);
  const std::vector<Tracked> before = world.client.tracked(world.now());
  const clock::Decision decision = world.client.decision();
  const RawTime deadline = world.client.next_deadline();
  SeededRandom forger(11);
  constexpr std::uint32_t kKisses[] = {wire::refid_of("RATE"), wire::refid_of("DENY"),
                                       wire::refid_of("RSTR")};
  for (std::size_t i = 0; i < 1'000'000; ++i) {
    const AssociationReport& victim = before[i % before.size()].association;
    auto reply = good_reply(forger.next(), world.now());
    if (i % 16 == 0) reply.org = {};
    if (i % 4 == 0) {
      reply.leap = wire::Leap::unknown;
      reply.stratum = 0;
      reply.refid = kKisses[i / 4 % 3];
    }
    auto bytes = octets_of(reply);
    if (i % 5 == 0) bytes.resize(52);
    ASSERT_TRUE(
        world.client.on_datagram(victim.id, bytes, victim.address, world.now(), world.moment()));
  }
  EXPECT_EQ(world.client.next_deadline(), deadline);
  EXPECT_EQ(world.client.decision().served(world.now()), decision.served(world.now()));
  EXPECT_EQ(world.client.decision().bound_s, decision.bound_s);
  EXPECT_EQ(world.client.decision().reason, decision.reason);
  const std::vector<Tracked> after = world.client.tracked(world.now());
  ASSERT_EQ(after.size(), 3u);
  std::uint64_t rejects = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].verdict.standing, before[i].verdict.standing);
    EXPECT_EQ(after[i].estimate->offset_s, before[i].estimate->offset_s);
    EXPECT_EQ(after[i].association.standing, before[i].association.standing);
    EXPECT_EQ(after[i].association.reach, before[i].association.reach);
    EXPECT_EQ(after[i].association.poll, before[i].association.poll);
    EXPECT_EQ(after[i].association.samples, before[i].association.samples);
    EXPECT_EQ(after[i].association.kiss, "");
    rejects += after[i].association.rejects.total() - before[i].association.rejects.total();
  }
  EXPECT_EQ(rejects, 1'000'000u);
  ASSERT_TRUE(all_open()) << "the true answers may still come";
  for (const auto& [id, transmit] : world.asked) {
    const auto bytes = octets_of(good_reply(header_of(transmit).xmt.bits, world.now()));
    EXPECT_FALSE(
        world.client.on_datagram(id, bytes, transmit.to, world.now() + kRoundTrip, world.moment()));
  }
}

}  // namespace
}  // namespace ntp::client

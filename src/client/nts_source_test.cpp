// Sources that prove themselves: with NTS and with a symmetric key.
#include <gtest/gtest.h>

#include "client/nts_fixture.h"
#include "client/source_set_fixture.h"

namespace ntp::client {
namespace {

using namespace testing;
using namespace std::chrono_literals;

SourceOptions nts_source(std::string name = "time.example") {
  SourceOptions options = server(std::move(name));
  options.nts = true;
  return options;
}

// Servers with NTS at all addresses, but for those that are out of order.
class NtsWorld {
 public:
  void configure(const std::vector<SourceOptions>& options) { set.configure(options, now, random); }
  void run(std::chrono::nanoseconds span) {
    const RawTime until = now + span;
    for (int steps = 0; steps < 100'000; ++steps) {
      const auto deadline = set.next_deadline();
      if (!deadline || *deadline > until) break;
      now = std::max(now, *deadline);
      step();
    }
    now = until;
  }
  void step() {
    set.on_timer(now, random);
    for (auto& each : set.take_transmits()) send(each);
    for (auto& each : set.take_resolutions()) {
      set.on_resolved(each.source, addresses, now, random);
    }
    for (auto& each : set.take_establishments()) establish(each);
    for (auto& each : set.take_events()) events.push_back(describe(each));
  }
  int count(std::string_view event) const {
    return static_cast<int>(std::ranges::count_if(events, [event](const std::string& line) {
      return line.find(event) != std::string::npos;
    }));
  }
  std::uint64_t samples() const {
    std::uint64_t sum = 0;
    for (const auto& source : set.report()) {
      for (const auto& association : source.associations) sum += association.samples;
    }
    return sum;
  }

  SourceSet set;
  SeededRandom random{3};
  NtsServer server;
  RawTime now = kStart;
  Addresses addresses = hosts(1, 2);
  std::optional<nts::KeTrouble> out_of_order;
  std::set<IpAddress> without_keys;
  std::optional<IpAddress> names;
  std::optional<std::uint16_t> port;
  bool silent = false;
  bool answers_plainly = false;
  int naks_before = 0;
  std::vector<Establish> establishments;
  std::vector<Endpoint> asked;
  std::vector<std::string> events;

 private:
  void establish(const Establish& wanted) {
    establishments.push_back(wanted);
    if (out_of_order || without_keys.contains(wanted.server.address)) {
      set.on_not_established(wanted.association,
                             {.trouble = out_of_order.value_or(nts::KeTrouble::untrusted),
                              .why = "it is out of order"},
                             now, random);
      return;
    }
    auto established = server.establish();
    established.port = port;
    set.on_established(wanted.association, established, names, now, random);
  }
  void send(const Outgoing& outgoing) {
    const auto& [to, bytes] = outgoing.transmit;
    asked.push_back(to);
    set.on_sent(outgoing.association, now);
    if (silent) return;
    const auto reply = good_reply(header_of(outgoing.transmit).xmt.bits, now);
    const auto arrive = [&](const std::vector<std::byte>& datagram) {
      return set.on_datagram(
          outgoing.association,
          {.datagram = datagram, .from = to, .at = now + kRoundTrip, .base = kBase});
    };
    if (answers_plainly) {
      EXPECT_FALSE(arrive(octets_of(reply)));
      return;
    }
    for (int i = 0; i < naks_before; ++i) EXPECT_FALSE(arrive(server.nak(bytes)));
    (void)arrive(server.answer(bytes, reply));
  }
};

TEST(NtsSource, EstablishesKeysByItsNameAndIsThenBelieved) {
  NtsWorld world;
  world.configure({nts_source()});
  world.run(30s);
  ASSERT_EQ(world.establishments.size(), 1u);
  EXPECT_EQ(world.establishments[0].name, "time.example");
  EXPECT_EQ(world.establishments[0].server, (Endpoint{host(1), 4460}));
  EXPECT_GT(world.samples(), 5u);
  EXPECT_EQ(world.count("has keys (NTS): AES-SIV-CMAC-256, 8 cookies"), 1);
  EXPECT_EQ(world.set.report()[0].standing, "reachable");
}

TEST(NtsSource, WithoutKeysNothingIsEverAsked) {
  for (const auto trouble : {nts::KeTrouble::untrusted, nts::KeTrouble::unreachable}) {
    NtsWorld world;
    world.out_of_order = trouble;
    world.configure({nts_source()});
    world.run(24h);
    EXPECT_TRUE(world.asked.empty());
    EXPECT_EQ(world.set.report()[0].standing, "has no keys yet");
    EXPECT_GE(world.count("gives no keys (NTS): it is out of order"), 1);
    // Two addresses, each by its own back-off.
    EXPECT_LE(world.establishments.size(), trouble == nts::KeTrouble::untrusted ? 40u : 200u);
  }
}

TEST(NtsSource, PlainAnswersAreNoAnswers) {
  NtsWorld world;
  world.answers_plainly = true;
  world.configure({nts_source()});
  world.run(1h);
  EXPECT_FALSE(world.asked.empty());
  EXPECT_EQ(world.samples(), 0u);
}

TEST(NtsSource, AnotherAddressOfTheNameIsTriedWhereOneGivesNoKeys) {
  NtsWorld world;
  world.without_keys = {host(1)};
  world.configure({nts_source()});
  world.run(10min);
  EXPECT_EQ(world.establishments.back().server.address, host(2));
  EXPECT_GT(world.samples(), 5u);
  EXPECT_EQ(world.asked.front(), (Endpoint{host(2), 123}));
}

TEST(NtsSource, EveryAddressOfAPoolHasKeysOfItsOwn) {
  NtsWorld world;
  auto pool = nts_source();
  pool.mode = SourceMode::pool;
  world.configure({pool});
  world.run(30s);
  EXPECT_EQ(world.establishments.size(), 2u);
  EXPECT_EQ(world.set.active().size(), 2u);
}

TEST(NtsSource, TheServerThatIsNamedIsAsked) {
  NtsWorld world;
  world.names = host(77);
  world.port = 1123;
  world.configure({nts_source()});
  world.run(10s);
  ASSERT_FALSE(world.asked.empty());
  for (const Endpoint& to : world.asked) EXPECT_EQ(to, (Endpoint{host(77), 1123}));
  EXPECT_GT(world.samples(), 3u);
}

TEST(NtsSource, NobodyIsAskedTwiceNorOurselvesNorNobody) {
  for (const IpAddress& bad : {host(9), IpAddress::v4(224, 0, 1, 1), IpAddress{}}) {
    NtsWorld world;
    world.set.set_own({{host(9), 123}});
    world.names = bad;
    world.configure({nts_source()});
    world.run(1min);
    EXPECT_TRUE(world.asked.empty());
    EXPECT_GE(world.count("is this machine or is asked already"), 1);
  }
  NtsWorld world;  // two names with one server of time behind them
  world.names = host(50);
  world.configure({nts_source("a.example"), nts_source("b.example")});
  world.run(10s);
  EXPECT_EQ(
      std::ranges::count(world.set.active(), Endpoint{host(50), 123}, &ActiveAssociation::address),
      1);
}

// RELIABILITY A20.
TEST(NtsSource, AStormOfNaksTakesNothingAway) {
  NtsWorld world;
  world.configure({nts_source()});
  world.run(1min);
  const auto before = world.samples();
  world.naks_before = 200;
  world.run(6h);
  EXPECT_EQ(world.establishments.size(), 1u);
  EXPECT_GT(world.samples(), before + 20);
}

TEST(NtsSource, AServerThatHasForgottenItsKeysIsAskedForNewOnes) {
  NtsWorld world;
  world.configure({nts_source()});
  world.run(10min);
  world.server.forget();
  const auto before = world.samples();
  world.run(1h);
  EXPECT_EQ(world.establishments.size(), 2u);
  EXPECT_GT(world.samples(), before + 1);
}

TEST(NtsSource, OneThatFallsSilentIsUnreachableAndComesBack) {
  NtsWorld world;
  world.addresses = hosts(1, 1);
  world.configure({nts_source()});
  world.run(10min);
  world.silent = true;
  world.run(12h);
  EXPECT_EQ(world.set.active()[0].reach, 0) << "though there are no cookies to ask with";
  EXPECT_EQ(world.count("does not answer"), 1);
  const auto spent = world.establishments.size();
  EXPECT_LE(spent, 14u);
  world.silent = false;
  world.run(10h);
  EXPECT_EQ(world.set.report()[0].standing, "reachable");
}

TEST(NtsSource, KeysOutliveARestart) {
  NtsWorld world;
  world.port = 1123;
  world.configure({nts_source()});
  world.run(1min);
  NtsWorld next;
  next.set.recall(world.set.remember());
  next.configure({nts_source()});
  next.run(1min);
  EXPECT_TRUE(next.establishments.empty());
  EXPECT_EQ(next.asked.front(), (Endpoint{host(1), 1123}));
  EXPECT_GT(next.samples(), 5u);
}

// What proved the server then is not what it is to be proved by now.
TEST(NtsSource, KeysOfOtherRootsAreNotRecalled) {
  NtsWorld world;
  world.configure({nts_source()});
  world.run(1min);
  NtsWorld next;
  next.set.recall(world.set.remember());
  SourceOptions moved = nts_source();
  moved.nts_ca = "/etc/new.pem";
  next.configure({moved});
  next.run(1min);
  EXPECT_EQ(next.establishments.size(), 1u);
}

class KeyedSource : public ::testing::Test {
 protected:
  static crypto::MacKey key(int first) {
    std::array<std::byte, 20> octets{};
    octets.fill(static_cast<std::byte>(first));
    return *crypto::MacKey::make(crypto::MacType::sha1, octets);
  }
  static std::vector<std::byte> sign(const wire::Header& header, std::uint32_t id,
                                     const crypto::MacKey& with) {
    auto bytes = octets_of(header);
    const auto digest = with.compute(bytes);
    for (int shift = 24; shift >= 0; shift -= 8) {
      bytes.push_back(static_cast<std::byte>(id >> shift));
    }
    bytes.insert(bytes.end(), digest.begin(), digest.begin() + 20);
    return bytes;
  }
  std::expected<clock::Sample, Reject> arrive(const std::vector<std::byte>& bytes) {
    return association_.on_datagram({.datagram = bytes,
                                     .from = kServer,
                                     .at = association_.state().anchor + kRoundTrip,
                                     .base = kBase});
  }
  void SetUp() override { association_.set_key(key(1)); }

  SeededRandom random_{7};
  Association association_{kServer, {.key = 5}, kStart, random_};
};

TEST_F(KeyedSource, QuestionsAreSignedWithItsKey) {
  const Transmit transmit = ask(association_, random_);
  EXPECT_EQ(transmit.bytes, sign(header_of(transmit), 5, key(1)));
}

// RELIABILITY A13: a key proves one server only.
TEST_F(KeyedSource, OnlyAnswersWithItsKeyAreBelieved) {
  const Transmit transmit = ask(association_, random_);
  const auto reply = good_reply(header_of(transmit).xmt.bits, association_.state().anchor);
  EXPECT_EQ(arrive(octets_of(reply)).error(), Reject::unauthenticated);
  EXPECT_EQ(arrive(sign(reply, 5, key(2))).error(), Reject::unauthenticated);
  EXPECT_EQ(arrive(sign(reply, 6, key(1))).error(), Reject::wrong_key);
  EXPECT_EQ(arrive(sign(reply, 6, key(2))).error(), Reject::wrong_key);
  auto nak = octets_of(reply);
  nak.resize(wire::kHeaderSize + 4);
  EXPECT_EQ(arrive(nak).error(), Reject::crypto_nak);
  EXPECT_TRUE(arrive(sign(reply, 5, key(1))));
}

TEST_F(KeyedSource, WithoutTheKeyNothingIsAsked) {
  association_.set_key(std::nullopt);
  EXPECT_EQ(association_.next_question(), std::nullopt);
  EXPECT_EQ(association_.on_timer(kStart + 1h, random_), std::nullopt);
}

TEST_F(KeyedSource, AnUnsignedKissChangesNothing) {
  const Transmit transmit = ask(association_, random_);
  auto kiss = good_reply(header_of(transmit).xmt.bits, association_.state().anchor);
  kiss.stratum = 0;
  kiss.refid = wire::refid_of("DENY");
  EXPECT_FALSE(arrive(octets_of(kiss)));
  EXPECT_FALSE(association_.state().denied);
  EXPECT_EQ(arrive(sign(kiss, 5, key(1))).error(), Reject::kiss_deny);
  EXPECT_TRUE(association_.state().denied);
}

}  // namespace
}  // namespace ntp::client

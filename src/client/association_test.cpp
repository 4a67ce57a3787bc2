#include "client/association.h"

#include <gtest/gtest.h>

#include <cmath>

#include "client/association_fixture.h"

namespace ntp::client {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using wire::refid_of;

TEST_F(AssociationTest, MakesASampleOfAGoodAnswer) {
  auto association = make();
  const auto transmit = ask(association, random_);
  EXPECT_EQ(transmit.to, kServer);
  const RawTime sent = association.state().anchor;
  const auto sample = answer_well(association, transmit);
  ASSERT_TRUE(sample);
  EXPECT_NEAR(sample->offset_s, 0.4999, 1e-9);
  EXPECT_NEAR(sample->delay_s, 0.0004, 1e-9);
  EXPECT_EQ(sample->at, sent + kRoundTrip / 2);
  EXPECT_NEAR(sample->precision_s, std::hypot(1e-6, std::ldexp(1, -24)) / std::sqrt(12), 1e-12);
  EXPECT_EQ(sample->root_delay_s, 0.5);
  EXPECT_EQ(sample->root_dispersion_s, 0.25);
  EXPECT_EQ(sample->stratum, 2);
  EXPECT_EQ(sample->refid, 0xcb007109u);
  EXPECT_EQ(association.state().reach, 1);
  EXPECT_EQ(association.state().sample, *sample);
  EXPECT_EQ(association.rejects().total(), 0u);
}

TEST_F(AssociationTest, UsesTheStampOfTheDepartureWhereItCanBeTrue) {
  auto association = make();
  ask(association, random_);
  const RawTime asked = association.state().anchor;
  association.on_sent(asked + 70us);
  EXPECT_EQ(association.state().question->sent, asked + 70us);
  association.on_sent(asked - 1s);
  association.on_sent(asked + 2s);
  EXPECT_EQ(association.state().question->sent, asked + 70us);
}

TEST_F(AssociationTest, TellsNothingButTheNonce) {
  for (const int version : {3, 4}) {
    auto association = make({.version = static_cast<std::uint8_t>(version)});
    const auto transmit = ask(association, random_);
    EXPECT_EQ(transmit.bytes[0], static_cast<std::byte>(version << 3 | 3));
    for (std::size_t i = 1; i < 40; ++i) EXPECT_EQ(transmit.bytes[i], std::byte{0}) << i;
  }
}

TEST_F(AssociationTest, TakesOneAnswerToAQuestion) {
  auto association = make();
  const auto transmit = ask(association, random_);
  ASSERT_TRUE(answer_well(association, transmit));
  const auto before = association.state();
  EXPECT_EQ(answer_well(association, transmit).error(), Reject::duplicate);
  EXPECT_EQ(association.state(), before);
  const auto next = ask(association, random_);
  EXPECT_EQ(answer_well(association, transmit).error(), Reject::duplicate);
  EXPECT_TRUE(answer_well(association, next));
}

TEST_F(AssociationTest, RemembersWhyTheLastAnswerWasRefusedUntilTheNextOne) {
  auto association = steady();
  const auto refuse = [&] {
    ask(association, random_);
    auto reply = good_reply(association.state().question->nonce, association.state().anchor);
    reply.leap = wire::Leap::unknown;
    EXPECT_FALSE(answer(association, reply, association.state().anchor + 1ms));
  };
  refuse();
  EXPECT_EQ(association.state().refused, Reject::unsynchronised);
  EXPECT_EQ(answer_well(association, ask(association, random_)).has_value(), true);
  EXPECT_FALSE(association.state().refused);
  refuse();
  const auto silent = ask(association, random_);
  EXPECT_EQ(association.state().refused, Reject::unsynchronised) << "it may still be answered";
  auto other = association;
  EXPECT_FALSE(other.on_timer(*other.next_deadline(), random_));
  EXPECT_FALSE(other.state().refused) << "the question is over, and nobody has answered";
  auto forged = good_reply(header_of(silent).xmt.bits + 1, association.state().anchor);
  EXPECT_FALSE(answer(association, forged, association.state().anchor + 1ms));
  EXPECT_EQ(association.state().refused, Reject::unsynchronised) << "anybody could have sent that";
}

TEST_F(AssociationTest, RefusesAnAnswerThatIsLate) {
  auto association = make();
  const auto first = ask(association, random_);
  const RawTime sent = association.state().anchor;
  const auto reply = good_reply(header_of(first).xmt.bits, sent);
  auto other = association;
  EXPECT_EQ(answer(other, reply, sent + 3s).error(), Reject::unexpected);
  ask(association, random_);
  EXPECT_EQ(answer(association, reply, sent + 2100ms).error(), Reject::bogus);
  // Nobody was asked at all.
  auto fresh = make();
  EXPECT_EQ(answer(fresh, reply, sent).error(), Reject::unexpected);
}

TEST_F(AssociationTest, HasALimitOfDelayOfItsOwn) {
  auto association = make({.max_delay_s = 0.0003});
  EXPECT_EQ(answer_well(association, ask(association, random_)).error(), Reject::delay_over_limit);
  EXPECT_EQ(association.state().reach, 0);
}

TEST_F(AssociationTest, StartsWithABurstAndThenPollsAtItsMinimum) {
  auto association = make();
  ask(association, random_);
  EXPECT_LE(association.state().anchor - kStart, 100ms);
  // The first question was not answered: the first answer begins the burst anew.
  for (const double wait_s : {2, 2, 2, 2, 2, 2, 2, 4, 4, 8, 8, 16, 16}) {
    const RawTime before = association.state().anchor;
    ASSERT_TRUE(answer_well(association, ask(association, random_)));
    EXPECT_GE(seconds(association.state().anchor - before), wait_s);
    EXPECT_LE(seconds(association.state().anchor - before), 1.02 * wait_s);
  }
  ASSERT_TRUE(answer_well(association, ask(association, random_)));
  std::set<double> intervals;
  for (int i = 0; i < 20; ++i) {
    const double s = interval_s(association);
    EXPECT_GE(s, 64);
    EXPECT_LE(s, 64 * 1.02);
    intervals.insert(s);
  }
  EXPECT_GT(intervals.size(), 15u);  // each by a chance of its own
  auto calm = make({.iburst = false});
  EXPECT_GE(interval_s(calm), 64);
}

TEST_F(AssociationTest, BurstsAgainUntilTheFirstSamples) {
  auto association = make();
  for (int i = 0; i < kBurst; ++i) ask(association, random_);
  EXPECT_EQ(association.state().burst_left, 0);
  ASSERT_TRUE(answer_well(association, ask(association, random_)));
  EXPECT_EQ(association.state().burst_left, kBurst - 1);
}

TEST_F(AssociationTest, DoesNotBurstTwiceInAWhileForAnAddressThatComesAndGoes) {
  auto association = steady({.minpoll = 0, .maxpoll = 0});
  const auto began = association.state().burst_began;
  int questions = 0;
  while (association.state().anchor < *began + kBurstHoldOff) {
    const auto transmit = ask(association, random_);
    if (++questions % 10 != 0) continue;
    ASSERT_TRUE(answer_well(association, transmit));
    if (association.state().anchor < *began + kBurstHoldOff) {
      EXPECT_EQ(association.state().burst_left, 0);
    }
  }
  EXPECT_GT(questions, 30);
}

TEST_F(AssociationTest, IsAskedForItsPollFromOutsideWithinItsLimits) {
  auto association = steady({.minpoll = 4, .maxpoll = 8});
  const std::pair<int, int> asked[] = {{6, 6}, {3, 4}, {-6, 4}, {9, 8}, {17, 8}};
  for (const auto& [poll, expected] : asked) {
    association.set_poll(poll);
    EXPECT_EQ(association.poll(), expected);
    const double s = interval_s(association);
    EXPECT_GE(s, std::ldexp(1, expected));
    EXPECT_LE(s, std::ldexp(1.02, expected));
  }
}

TEST_F(AssociationTest, PollsManyTimesASecondWhereAskedTo) {
  auto association = steady({.minpoll = -6, .maxpoll = 0});
  const double s = interval_s(association);
  EXPECT_GE(s, 0.015625);
  EXPECT_LE(s, 0.016);
  // But it waits for an answer that takes longer than that.
  EXPECT_EQ(interval_s(association, false), 1);
}

TEST_F(AssociationTest, BacksOffFromAnAddressThatDoesNotAnswerButNeverGivesUp) {
  auto association = steady();
  double before_s = 0;
  for (int i = 0; i < 40; ++i) {
    const double s = interval_s(association, false);
    if (i < 3) {
      EXPECT_LE(s, 64 * 1.02);
    }
    EXPECT_LE(s, 256 * 1.25);
    before_s = s;
  }
  EXPECT_GE(before_s, 256);
  EXPECT_TRUE(association.is_unreachable());
  // It is back: it is asked more often at once.
  ASSERT_TRUE(answer_well(association, ask(association, random_)));
  EXPECT_FALSE(association.is_unreachable());
  EXPECT_LE(interval_s(association), 2.04);
}

TEST_F(AssociationTest, IsNotUnreachableWhileTheLastQuestionMayStillBeAnswered) {
  auto association = make({.iburst = false});
  for (int i = 0; i < 8; ++i) {
    EXPECT_FALSE(association.is_unreachable());
    ask(association, random_);
  }
  EXPECT_FALSE(association.is_unreachable());
  const RawTime sent = association.state().question->sent;
  EXPECT_FALSE(association.on_timer(association.next_deadline().value(), random_));
  EXPECT_EQ(association.next_deadline() > sent + 60s, true);
  EXPECT_TRUE(association.is_unreachable());
}

TEST_F(AssociationTest, SlowsDownForGoodWhenAsked) {
  auto association = steady();
  const auto rate = [&] {
    ask(association, random_);
    const RawTime sent = association.state().anchor;
    auto reply = good_reply(association.state().question->nonce, sent);
    reply.leap = wire::Leap::unknown;
    reply.stratum = 0;
    reply.refid = refid_of("RATE");
    EXPECT_EQ(answer(association, reply, sent + 1ms).error(), Reject::kiss_rate);
    EXPECT_GE(*association.next_question() - sent, 1s * (1 << association.poll()));
  };
  rate();
  EXPECT_EQ(association.poll(), 7);
  association.set_poll(6);
  EXPECT_EQ(association.poll(), 7);  // it stays up
  association.set_poll(9);
  EXPECT_EQ(association.poll(), 9);
  association.set_poll(6);
  EXPECT_EQ(association.poll(), 7);
  for (int i = 0; i < 20; ++i) rate();
  EXPECT_EQ(association.poll(), 10);
  EXPECT_EQ(association.state().kiss, refid_of("RATE"));
  association.start_burst(association.state().anchor);
  EXPECT_EQ(association.state().burst_left, 0);
}

TEST_F(AssociationTest, EndsABurstWhenAskedToSlowDown) {
  auto association = make({.minpoll = 3, .maxpoll = 4});
  ask(association, random_);
  const RawTime sent = association.state().anchor;
  auto reply = good_reply(association.state().question->nonce, sent);
  reply.stratum = 0;
  reply.refid = refid_of("RATE");
  EXPECT_EQ(answer(association, reply, sent + 1ms).error(), Reject::kiss_rate);
  EXPECT_EQ(association.poll(), 4);
  EXPECT_GE(*association.next_question() - sent, 16s);
}

TEST_F(AssociationTest, StopsWhenDenied) {
  for (const auto code : {refid_of("DENY"), refid_of("RSTR")}) {
    auto association = steady();
    ask(association, random_);
    const RawTime sent = association.state().anchor;
    auto reply = good_reply(association.state().question->nonce, sent);
    reply.stratum = 0;
    reply.refid = code;
    auto forged = reply;
    forged.org.bits += 1;
    EXPECT_EQ(answer(association, forged, sent + 1ms).error(), Reject::bogus);
    EXPECT_FALSE(association.state().denied);
    EXPECT_FALSE(answer(association, reply, sent + 1ms));
    EXPECT_TRUE(association.state().denied);
    EXPECT_EQ(association.state().reach, 0) << "what it said earlier does not count for ever";
    EXPECT_FALSE(association.next_deadline());
    EXPECT_FALSE(association.on_timer(sent + 24h, random_));
    association.start_burst(sent + 24h);
    EXPECT_FALSE(association.on_timer(sent + 48h, random_));
  }
}

TEST_F(AssociationTest, IsNotDisturbedByCryptoNaksAndUnknownKisses) {
  auto association = steady();
  const auto transmit = ask(association, random_);
  const auto before = association.state();
  auto bytes = octets_of(good_reply(before.question->nonce, before.anchor));
  bytes.resize(52);
  EXPECT_EQ(association
                .on_datagram(
                    {.datagram = bytes, .from = kServer, .at = before.anchor + 1ms, .base = kBase})
                .error(),
            Reject::crypto_nak);
  EXPECT_EQ(association.state(), before);
  EXPECT_TRUE(answer_well(association, transmit));  // the true answer still counts
  ask(association, random_);
  auto kiss = good_reply(association.state().question->nonce, association.state().anchor);
  kiss.stratum = 0;
  kiss.refid = refid_of("NTSN");
  EXPECT_EQ(answer(association, kiss, association.state().anchor + 1ms).error(),
            Reject::kiss_unknown);
  EXPECT_EQ(association.poll(), 6);
  EXPECT_FALSE(association.state().denied);
}

TEST_F(AssociationTest, ToleratesBeingOffline) {
  auto association = make();
  double before_s = 0;
  for (int i = 0; i < 12; ++i) {
    const RawTime now = *association.next_deadline();
    ASSERT_TRUE(association.on_timer(now, random_));
    association.on_send_failed(SendError::unreachable, now, random_);
    EXPECT_FALSE(association.state().question);
    EXPECT_EQ(association.state().unanswered, 0);  // nobody was asked
    const double s = seconds(*association.next_deadline() - now);
    EXPECT_GE(s, std::min(64.0, std::ldexp(2, i)));
    EXPECT_LE(s, 64 * 1.25);
    EXPECT_GE(s * 1.25, before_s);
    before_s = s;
  }
  EXPECT_TRUE(association.is_unreachable());
  // The network is there: the burst has not been used up.
  ASSERT_TRUE(answer_well(association, ask(association, random_)));
  EXPECT_GE(association.state().burst_left, kBurst - 1);
  EXPECT_FALSE(association.is_unreachable());
}

TEST_F(AssociationTest, TakesARefusalForAHint) {  // RELIABILITY A51: anybody can send one
  auto association = steady();
  const auto transmit = ask(association, random_);
  const auto before = association.state();
  association.on_send_failed(SendError::refused, before.anchor + 1ms, random_);
  EXPECT_EQ(association.state(), before);
  EXPECT_TRUE(answer_well(association, transmit));
}

TEST_F(AssociationTest, AsksSoonOnceToHaveAnAnswerConfirmed) {
  auto association = steady();
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(answer_well(association, ask(association, random_)));
    association.ask_soon();
    const double s = seconds(*association.next_deadline() - association.state().anchor);
    EXPECT_LE(s, i % 2 == 0 ? 2.04 : 65.3);  // but not twice in a row
    EXPECT_GE(s, i % 2 == 0 ? 2 : 64);
  }
  auto slowed = steady();
  ask(slowed, random_);
  auto reply = good_reply(slowed.state().question->nonce, slowed.state().anchor);
  reply.stratum = 0;
  reply.refid = wire::refid_of("RATE");
  ASSERT_EQ(answer(slowed, reply, slowed.state().anchor + 1ms).error(), Reject::kiss_rate);
  slowed.ask_soon();
  EXPECT_GE(*slowed.next_deadline() - slowed.state().anchor, 64s);
}

TEST_F(AssociationTest, BurstsOnRequest) {
  auto association = steady();
  const RawTime before = association.state().anchor;
  association.start_burst(before + 10s);
  EXPECT_LE(*association.next_deadline(), before + 10s);
  for (int i = 0; i < kBurst; ++i) ASSERT_TRUE(answer_well(association, ask(association, random_)));
  EXPECT_GE(*association.next_deadline() - association.state().anchor, 64s);
}

TEST_F(AssociationTest, NeverAsksWithANonceOfZeroNorWithTheLastOne) {
  struct Stuck final : RandomSource {
    std::uint64_t values[6] = {0, 0, 0, 5, 5, 6};
    std::size_t i = 0;
    std::uint64_t next() override { return values[std::min<std::size_t>(i++, 5)]; }
  } stuck;
  Association association(kServer, {}, kStart, stuck);
  ask(association, stuck);
  EXPECT_EQ(association.state().question->nonce, 5u);
  stuck.i = 4;
  ask(association, stuck);
  EXPECT_EQ(association.state().question->nonce, 6u);
}

}  // namespace
}  // namespace ntp::client

#include "client/nts_session.h"

#include <gtest/gtest.h>

#include <set>

#include "client/association_fixture.h"
#include "client/nts_fixture.h"

namespace ntp::client {
namespace {

using namespace testing;
using namespace std::chrono_literals;

class NtsSessionTest : public ::testing::Test {
 protected:
  void establish() {
    ASSERT_TRUE(session_.take_establishment(now_, random_));
    session_.on_established(server_.establish(), now_);
  }
  std::vector<std::byte> ask() {
    const wire::Header header{.mode = wire::Mode::client, .xmt = {random_.next()}};
    return session_.write_question(header, now_, random_);
  }

  SeededRandom random_{5};
  NtsServer server_;
  NtsSession session_;
  RawTime now_ = kStart;
};

TEST_F(NtsSessionTest, WantsKeysAtOnceAndSaysNothingWithoutThem) {
  EXPECT_FALSE(session_.has_keys());
  ASSERT_TRUE(session_.next_establishment());
  EXPECT_LE(*session_.next_establishment(), now_);
  EXPECT_TRUE(ask().empty());
  establish();
  EXPECT_TRUE(session_.has_keys());
  EXPECT_EQ(session_.next_establishment(), std::nullopt);
}

TEST_F(NtsSessionTest, ACookieIsUsedOnceAndTheJarIsFilledAgain) {
  establish();
  std::set<std::vector<std::byte>> used;
  for (int i = 0; i < 50; ++i) {
    const auto question = ask();
    ASSERT_FALSE(question.empty());
    EXPECT_TRUE(used.insert(server_.cookie_of(question)).second) << "a cookie that was used";
    EXPECT_GE(session_.report().cookies, 6u);
    if (i % 5 == 4) continue;  // a lost one
    ASSERT_TRUE(session_.open(server_.answer(question)));
    EXPECT_EQ(session_.report().cookies, 8u);
  }
}

TEST_F(NtsSessionTest, LostAnswersAreMadeUpForByPlaceholders) {
  establish();
  for (std::size_t left = 7; left > 3; --left) {
    ask();
    EXPECT_EQ(session_.report().cookies, left);
  }
  ASSERT_TRUE(session_.open(server_.answer(ask())));
  EXPECT_EQ(session_.report().cookies, 8u);
}

TEST_F(NtsSessionTest, WithoutCookiesNewKeysAreWanted) {
  establish();
  for (int i = 0; i < 8; ++i) EXPECT_FALSE(ask().empty());
  EXPECT_EQ(session_.next_establishment(), std::nullopt) << "the last may still be answered";
  now_ += 64s;
  EXPECT_TRUE(ask().empty());
  EXPECT_EQ(session_.next_establishment(), now_);
}

TEST_F(NtsSessionTest, OnlyTheServersKeysProveAnything) {
  establish();
  const auto question = ask();
  auto answer = server_.answer(question);
  for (std::size_t at = 0; at < answer.size(); ++at) {
    auto spoilt = answer;
    spoilt[at] ^= std::byte{1};
    const auto opened = session_.open(spoilt);
    ASSERT_FALSE(opened) << at;
    EXPECT_FALSE(answers(opened.error())) << name(opened.error());
  }
  EXPECT_EQ(session_.open(std::span(answer).first(wire::kHeaderSize)).error(), Reject::bogus);
  EXPECT_EQ(session_.report().cookies, 7u);
  EXPECT_TRUE(session_.open(answer));
  EXPECT_EQ(session_.open(answer).error(), Reject::unexpected) << "once only";
}

// RELIABILITY A20: a NAK proves nothing.
TEST_F(NtsSessionTest, ANakBeforeTheTrueAnswerChangesNothing) {
  establish();
  for (int i = 0; i < 20; ++i) {
    now_ += 64s;
    const auto question = ask();
    for (int k = 0; k < 100; ++k) {
      EXPECT_EQ(session_.open(server_.nak(question)).error(), Reject::nts_nak);
    }
    ASSERT_TRUE(session_.open(server_.answer(question)));
    EXPECT_EQ(session_.next_establishment(), std::nullopt);
  }
  EXPECT_EQ(session_.report().establishments, 1u);
  EXPECT_EQ(session_.report().naks, 2000u);
}

TEST_F(NtsSessionTest, NaksAloneLeadToNewKeysByABackOffAndTakeNoCookies) {
  establish();
  RawTime last = now_;
  auto pause = std::chrono::nanoseconds(0);
  int begun = 0;
  for (int i = 0; i < 4000; ++i) {
    now_ += 4s;
    const auto question = ask();
    if (!question.empty()) {
      EXPECT_EQ(session_.open(server_.nak(question)).error(), Reject::nts_nak);
    }
    if (!session_.take_establishment(now_, random_)) continue;
    ++begun;
    EXPECT_GE(now_ - last, kFirstKePause);
    if (begun > 1) {
      EXPECT_GT(now_ - last, pause);
    }
    pause = now_ - last;
    last = now_;
    session_.on_established(server_.establish(), now_);
  }
  EXPECT_GE(begun, 7);
  EXPECT_LE(begun, 11);
}

TEST_F(NtsSessionTest, FailuresBackOffToALimitAndAreCounted) {
  const auto longest = [&](nts::KeTrouble trouble) {
    NtsSession session;
    RawTime at = kStart;
    std::chrono::nanoseconds pause{};
    for (int i = 0; i < 30; ++i) {
      EXPECT_TRUE(session.take_establishment(at, random_));
      EXPECT_FALSE(session.take_establishment(at + 59s, random_)) << "one at a time";
      session.on_failed({.trouble = trouble, .why = "x"}, at);
      const RawTime next = session.next_establishment().value();
      EXPECT_FALSE(session.take_establishment(next - 1ns, random_));
      pause = next - at;
      at = next;
    }
    EXPECT_EQ(session.report().troubles[static_cast<std::size_t>(trouble)], 30u);
    EXPECT_TRUE(session.is_hopeless());
    return pause;
  };
  const auto near = longest(nts::KeTrouble::unreachable);
  EXPECT_GE(near, kLongestKePauseUnreachable);
  EXPECT_LE(near, kLongestKePauseUnreachable * 5 / 4);
  EXPECT_GE(longest(nts::KeTrouble::expired), kLongestKePause);
}

TEST_F(NtsSessionTest, AnEstablishmentWithoutAnOutcomeIsGivenUp) {
  ASSERT_TRUE(session_.take_establishment(now_, random_));
  EXPECT_EQ(session_.next_deadline(), now_ + kKeLimit);
  EXPECT_TRUE(session_.take_establishment(now_ + kKeLimit, random_));
  EXPECT_EQ(session_.report().trouble->trouble, nts::KeTrouble::lost);
}

TEST_F(NtsSessionTest, KeysAreRenewedAfterFourWeeks) {
  establish();
  ASSERT_TRUE(session_.open(server_.answer(ask())));
  now_ += kKeyLifetime;
  const auto question = ask();
  EXPECT_FALSE(question.empty()) << "the old ones still work";
  EXPECT_EQ(session_.next_establishment(), now_);
}

TEST_F(NtsSessionTest, WhatIsRecalledIsUsedWithoutANewEstablishment) {
  establish();
  ask();
  const auto memory = session_.memory();
  ASSERT_TRUE(memory);
  NtsSession next;
  next.recall(*memory, now_);
  EXPECT_EQ(next.next_establishment(), std::nullopt);
  EXPECT_EQ(next.report().cookies, 7u);
  const auto question =
      next.write_question({.mode = wire::Mode::client, .xmt = {7}}, now_, random_);
  EXPECT_TRUE(next.open(server_.answer(question)));
  NtsSession none;
  none.recall({}, now_);
  EXPECT_FALSE(none.has_keys());
}

// However often it is restarted.
TEST_F(NtsSessionTest, RecalledKeysAreAsOldAsTheyWereBefore) {
  establish();
  NtsMemory memory = *session_.memory();
  EXPECT_EQ(memory.established, now_);
  const auto ask_with = [this](const NtsMemory& kept) {
    NtsSession next;
    next.recall(kept, now_);
    next.write_question({.mode = wire::Mode::client, .xmt = {7}}, now_, random_);
    EXPECT_EQ(next.memory()->established, std::min(kept.established, now_));
    return next.take_establishment(now_, random_);
  };
  memory.established = now_ - kKeyLifetime + 1s;
  EXPECT_FALSE(ask_with(memory));
  memory.established = now_ - kKeyLifetime;
  EXPECT_TRUE(ask_with(memory));
  memory.established = now_ + 1h;  // nonsense: no longer than from now on
  EXPECT_FALSE(ask_with(memory));
}

// A server with cookies so long that eight of them do not fit into a datagram.
TEST_F(NtsSessionTest, QuestionsAreNeverCutOnTheWay) {
  auto established = server_.establish();
  for (auto& cookie : established.cookies) cookie.resize(256);
  ASSERT_TRUE(session_.take_establishment(now_, random_));
  session_.on_established(established, now_);
  for (int i = 0; i < 8; ++i) {
    const auto question = ask();
    EXPECT_GT(question.size(), 256u);
    EXPECT_LE(question.size(), 1232u);
  }
}

}  // namespace
}  // namespace ntp::client

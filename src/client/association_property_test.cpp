// What holds for every stream of events. NTP_TEST_SEED repeats a run; it is printed when one fails.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>

#include "client/association.h"
#include "client/association_fixture.h"

namespace ntp::client {
namespace {

using namespace testing;
using namespace std::chrono_literals;

std::uint64_t seed() {
  const char* given = std::getenv("NTP_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 20'261'123;
}

// RELIABILITY A06, A09: who cannot see the question does not know its nonce.
TEST(AssociationProperty, AMillionForgedRepliesChangeNothing) {
  SCOPED_TRACE(seed());
  SeededRandom random(seed());
  SeededRandom forger(seed() + 1);
  Association association(kServer, {}, kStart, random);
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(answer_well(association, ask(association, random)));
  const auto open = ask(association, random);
  const auto before = association.state();
  const auto deadline = association.next_deadline();
  constexpr std::uint32_t kKisses[] = {wire::refid_of("RATE"), wire::refid_of("DENY"),
                                       wire::refid_of("RSTR")};
  for (int i = 0; i < 1'000'000; ++i) {
    auto reply = good_reply(forger.next(), before.anchor);
    if (i % 16 == 0) reply.org = {};
    if (i % 16 == 1) reply.org = {before.answered_nonce};
    if (i % 4 == 0) {  // a kiss of death, byte for byte as servers send it
      reply.leap = wire::Leap::unknown;
      reply.stratum = 0;
      reply.refid = kKisses[i / 4 % 3];
    }
    auto bytes = octets_of(reply);
    if (i % 5 == 0) bytes.resize(52);  // crypto-NAK
    const auto result = association.on_datagram({.datagram = bytes,
                                                 .from = kServer,
                                                 .at = before.anchor + std::chrono::nanoseconds(i),
                                                 .base = kBase});
    ASSERT_FALSE(result);
  }
  EXPECT_EQ(association.state(), before);
  EXPECT_EQ(association.next_deadline(), deadline);
  EXPECT_EQ(association.rejects().total(), 1'000'000u);
  EXPECT_EQ(association.rejects().of(Reject::zero_origin), 62'500u);
  EXPECT_EQ(association.rejects().of(Reject::duplicate), 62'500u);
  EXPECT_EQ(association.rejects().of(Reject::bogus), 875'000u);
  EXPECT_TRUE(answer_well(association, open));  // the true answer still counts
}

// RELIABILITY A10, A35. The limits are those of chi-square at p = 1e-6; the seed is fixed.
TEST(AssociationProperty, AHundredThousandRequestsDifferInSixtyFourRandomBitsOnly) {
  constexpr int kRequests = 100'000;
  SeededRandom random(seed());
  Association association(kServer, {}, kStart, random);
  std::array<int, 64> ones{};
  std::array<std::array<int, 256>, 8> octets{};
  std::array<int, 63> with_next{};  // equal neighbours: bits are independent of one another
  std::array<int, 64> with_before{};
  std::uint64_t before = 0;
  double clock_sum = 0;  // correlation of the nonce with the time of asking
  for (int i = 0; i < kRequests; ++i) {
    const auto transmit = ask(association, random);
    ASSERT_EQ(transmit.bytes[0], std::byte{0x23});
    for (std::size_t at = 1; at < 40; ++at) ASSERT_EQ(transmit.bytes[at], std::byte{0}) << at;
    const std::uint64_t nonce = header_of(transmit).xmt.bits;
    for (std::size_t bit = 0; bit < 64; ++bit) {
      ones[bit] += static_cast<int>(nonce >> bit & 1);
      with_before[bit] += static_cast<int>((nonce ^ before) >> bit & 1);
      if (bit < 63) with_next[bit] += static_cast<int>((nonce >> bit ^ nonce >> (bit + 1)) & 1);
    }
    for (std::size_t at = 0; at < 8; ++at) ++octets[at][nonce >> (8 * at) & 0xff];
    const double place = static_cast<double>(nonce) * 0x1p-64 - 0.5;
    clock_sum += place * (static_cast<double>(i) / kRequests - 0.5);
    before = nonce;
  }
  constexpr double kHalf = kRequests / 2.0;
  const auto bit_chi = [](int count) { return (count - kHalf) * (count - kHalf) / (kHalf / 2); };
  constexpr double kOneDegree = 23.9;  // chi-square, 1 degree of freedom
  for (const int count : ones) EXPECT_LT(bit_chi(count), kOneDegree);
  for (const int count : with_next) EXPECT_LT(bit_chi(count), kOneDegree);
  for (const int count : with_before) EXPECT_LT(bit_chi(count), kOneDegree);
  for (const auto& counts : octets) {
    double chi = 0;
    for (const int count : counts) chi += std::pow(count - kRequests / 256.0, 2);
    EXPECT_LT(chi / (kRequests / 256.0), 372);  // 255 degrees
  }
  EXPECT_LT(std::abs(clock_sum) * 12 / std::sqrt(kRequests), 4.9);  // sigma is 1
}

// Drives an association with whatever can happen to one, in any order.
class Storm {
 public:
  explicit Storm(std::uint64_t seed) : dice_(seed), random_(seed + 1) {
    AssociationOptions options{.iburst = dice_.next() % 2 == 0};
    options.minpoll = kLeastPoll + static_cast<int>(dice_.next() % 20);
    options.maxpoll = options.minpoll + static_cast<int>(dice_.next() % 4);
    shortest_ = options.minpoll;
    association_.emplace(kServer, options, now_, random_);
  }

  void step() {
    const std::uint64_t what = dice_.next() % 100;
    if (what < 55) {
      wake();
    } else if (what < 80) {
      reply();
    } else if (what < 88) {
      now_ += std::chrono::nanoseconds(dice_.next() % 3'000'000'000);
    } else if (what < 92) {
      association_->set_poll(static_cast<int>(dice_.next() % 30) - 10);
    } else if (what < 93) {
      association_->start_burst(now_);
      bursts_ += 1;
    } else if (what < 94) {
      association_->on_sent(now_);
    } else {
      noise();
    }
    check();
  }

  bool denied() const { return association_->state().denied; }
  std::uint64_t samples() const { return samples_; }
  std::uint64_t questions() const { return association_->state().questions; }

 private:
  void wake() {
    const auto deadline = association_->next_deadline();
    if (!deadline) return;
    if (dice_.next() % 8 != 0) now_ = std::max(now_, *deadline);
    const auto before = association_->state();
    const auto transmit = association_->on_timer(now_, random_);
    if (now_ >= *deadline && !denied()) {
      // What is due is done: the deadline moves.
      ASSERT_GT(association_->next_deadline().value(), now_);
    }
    if (!transmit) return;
    ASSERT_EQ(transmit->to, kServer);
    if (dice_.next() % 10 == 0) {
      association_->on_send_failed(SendError::unreachable, now_, random_);
      ASSERT_FALSE(association_->state().question);
      return;
    }
    association_->on_sent(now_);
    ASSERT_EQ(association_->state().reach, static_cast<std::uint8_t>(before.reach << 1));
    if (last_sent_) check_interval(now_ - *last_sent_);
    last_sent_ = now_;
  }

  // Never more often than minpoll, but for bursts, which are never more often than two seconds.
  void check_interval(std::chrono::nanoseconds since) {
    const double least_s = std::min(2.0, std::ldexp(1, shortest_));
    ASSERT_GE(seconds(since), least_s);
    if (seconds(since) < std::ldexp(1, shortest_)) hasty_ += 1;
    const double elapsed_s = seconds(now_ - kStart);
    const double bursts = 2 + bursts_ + elapsed_s / seconds(kBurstHoldOff);
    ASSERT_LE(hasty_, kBurst * bursts + static_cast<double>(association_->rejects().total()));
  }

  void reply() {
    const auto& state = association_->state();
    const std::uint64_t nonce = state.question ? state.question->nonce : dice_.next();
    auto header = good_reply(nonce, state.question ? state.question->sent : now_);
    const std::uint64_t kind = dice_.next() % 64;
    if (kind == 0) header.refid = wire::refid_of("RATE");
    if (kind == 1 && dice_.next() % 64 == 0) header.refid = wire::refid_of("DENY");
    if (kind == 2) header.refid = wire::refid_of("INIT");
    if (kind < 3) header.stratum = 0;
    if (kind == 3) header.leap = wire::Leap::unknown;
    now_ += std::chrono::nanoseconds(dice_.next() % 1'000'000);
    const auto before = state;
    const auto result = answer(*association_, header, now_);
    if (result) {
      samples_ += 1;
      ASSERT_TRUE(before.question);
      ASSERT_EQ(association_->state().reach, before.reach | 1);
      ASSERT_TRUE(std::isfinite(result->offset_s) && std::isfinite(result->delay_s));
    } else {
      ASSERT_EQ(association_->state().reach, association_->state().denied ? 0 : before.reach);
    }
    if (result || result.error() >= Reject::kiss_rate) {
      ASSERT_FALSE(association_->state().question);
    }
  }

  void noise() {
    std::vector<std::byte> bytes(dice_.next() % 120);
    for (auto& octet : bytes) octet = static_cast<std::byte>(dice_.next());
    const auto before = association_->state();
    ASSERT_FALSE(
        association_->on_datagram({.datagram = bytes, .from = kServer, .at = now_, .base = kBase}));
    ASSERT_EQ(association_->state(), before);
  }

  void check() {
    const auto& state = association_->state();
    ASSERT_GE(state.unanswered, 0);
    ASSERT_GE(state.burst_left, 0);
    ASSERT_LE(state.burst_left, kBurst);
    ASSERT_LE(state.samples, state.questions);
    ASSERT_LE(state.poll, association_->options().maxpoll);
    ASSERT_GE(state.poll, association_->options().minpoll);
    ASSERT_GE(association_->poll(), floor_);  // RATE stays
    floor_ = std::max(floor_, state.poll_floor);
    ASSERT_EQ(state.denied, !association_->next_deadline().has_value());
    if (state.denied) return;
    // Never asleep for longer than the slowest poll with its jitter.
    const double longest_s =
        1.25 * std::ldexp(1, std::max({association_->poll(), association_->options().maxpoll, 8}));
    ASSERT_LE(seconds(*association_->next_deadline() - state.anchor), longest_s);
  }

  SeededRandom dice_;
  SeededRandom random_;
  RawTime now_ = kStart;
  std::optional<Association> association_;
  std::optional<RawTime> last_sent_;
  int shortest_ = 0;
  int floor_ = kLeastPoll;
  double hasty_ = 0;
  double bursts_ = 0;
  std::uint64_t samples_ = 0;
};

TEST(AssociationProperty, AnyHundredThousandEventsKeepTheInvariants) {
  SCOPED_TRACE(seed());
  std::uint64_t samples = 0;
  std::uint64_t questions = 0;
  int denials = 0;
  for (std::uint64_t run = 0; run < 50; ++run) {
    SCOPED_TRACE(run);
    Storm storm(seed() + 1000 * run);
    for (int i = 0; i < 2000; ++i) {
      storm.step();
      if (HasFatalFailure()) return;
    }
    samples += storm.samples();
    questions += storm.questions();
    denials += storm.denied() ? 1 : 0;
  }
  // The storm must have had something to blow at.
  EXPECT_GT(samples, 5'000u);
  EXPECT_GT(questions, 20'000u);
  EXPECT_GT(denials, 0);
  EXPECT_LT(denials, 50);
}

TEST(AssociationProperty, AFleetStartedAtOnceSpreadsOut) {
  constexpr int kFleet = 1000;
  double first_s = 0;
  double last_s = 0;
  for (int i = 0; i < kFleet; ++i) {
    SeededRandom random(seed() + static_cast<std::uint64_t>(i));
    Association association(kServer, {.iburst = false}, kStart, random);
    for (int poll = 0; poll < 60; ++poll) {
      ASSERT_TRUE(answer_well(association, ask(association, random)));
    }
    const double at_s = seconds(association.state().anchor - kStart);
    first_s = i == 0 ? at_s : std::min(first_s, at_s);
    last_s = std::max(last_s, at_s);
  }
  EXPECT_GT(last_s - first_s, 10);  // after an hour of questions every 64 s
  EXPECT_LT(last_s, 60 * 64 * 1.02);
}

}  // namespace
}  // namespace ntp::client

#include "clock/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "clock/dice_test.h"

namespace ntp::clock {
namespace {

constexpr RawTime kNow{std::chrono::seconds(1000)};

Candidate source(std::uint32_t id, double offset_s, double distance_s = 0.010) {
  Candidate c{.id = id};
  c.estimate = {.at = kNow, .offset_s = offset_s, .offset_var = 1e-12, .rate_var = 1e-16};
  c.root_delay_s = distance_s;
  c.root_dispersion_s = distance_s / 2 - kCoverage * 1e-6;
  c.leap = wire::Leap::none;
  c.stratum = 2;
  c.refid = id;
  c.reachable = true;
  c.samples = 8;
  return c;
}

std::vector<Standing> standings(const Selection& selection) {
  std::vector<Standing> all;
  for (const Verdict& v : selection.verdicts) all.push_back(v.standing);
  return all;
}

Selection run(const std::vector<Candidate>& candidates, const SelectionPolicy& policy = {}) {
  return select(kNow, candidates, policy);
}

TEST(Selection, ASingleGoodSourceIsSelected) {
  const Selection s = run({source(1, 0.5)});
  EXPECT_EQ(s.outcome, Outcome::selected);
  EXPECT_EQ(describe(s.verdicts[0]), "selected");
  EXPECT_EQ(describe(s), "1 of 1 sources agree");
}

TEST(Selection, NobodyIsChosenOfTwoThatDisagree) {
  const Selection s = run({source(1, 0.0), source(2, 1.0)});
  EXPECT_EQ(s.outcome, Outcome::no_majority);
  EXPECT_EQ(standings(s), (std::vector{Standing::no_majority, Standing::no_majority}));
  EXPECT_EQ(describe(s.verdicts[0]), "no majority: at most 1 of 2 votes agree");
  EXPECT_EQ(describe(s), "no majority: at most 1 of 2 sources agree");
}

TEST(Selection, IntervalsThatOnlyTouchAgree) {
  const Selection s = run({source(1, 0.0, 0.5), source(2, 1.0, 0.5)});
  EXPECT_EQ(s.outcome, Outcome::selected);
}

TEST(Selection, TheWordsOfAFalsetickerNameItsOffsetAndTheInterval) {
  const Selection s = run({source(1, 0.001, 0.003), source(2, 0.002, 0.003), source(3, 1.002)});
  EXPECT_EQ(describe(s.verdicts[2]),
            "falseticker: offset +1.002 s outside the majority interval [-0.001 s, +0.004 s]");
  EXPECT_EQ(describe(rebased(s.verdicts[2], 1.0018)),
            "falseticker: offset +0.000 s outside the majority interval [-1.003 s, -0.998 s]");
}

// Of five sources, one to four are wrong, each by another second.
TEST(Selection, UpToTwoFalsetickersOfFiveAreFoundAndThreeEndInNoMajority) {
  for (int bad = 0; bad <= 4; ++bad) {
    std::vector<Candidate> all;
    for (int i = 0; i < 5; ++i) {
      all.push_back(source(static_cast<std::uint32_t>(i + 1), i < bad ? 1.0 + i : 0.0001 * i));
    }
    const Selection s = run(all);
    EXPECT_EQ(s.outcome, bad <= 2 ? Outcome::selected : Outcome::no_majority) << bad;
    for (int i = 0; i < 5; ++i) {
      const Standing standing = s.verdicts[static_cast<std::size_t>(i)].standing;
      if (bad > 2) {
        EXPECT_EQ(standing, Standing::no_majority);
      } else if (i < bad) {
        EXPECT_EQ(standing, Standing::falseticker);
      } else {
        EXPECT_TRUE(is_truechimer(standing)) << kStandingNames[static_cast<std::size_t>(standing)];
      }
    }
  }
}

TEST(Selection, AMajorityOfLiarsThatAgreeIsContestedByTheClockKeptSoFar) {
  const std::vector<Candidate> all = {source(1, 1.0), source(2, 1.001), source(3, 0.999),
                                      source(4, 0.0), source(5, 0.001)};
  EXPECT_EQ(select(kNow, all, {}).outcome, Outcome::selected) << "nothing is known to the contrary";
  const KeptClock kept{{-0.010, 0.010}, 5};
  const Selection s = select(kNow, all, {}, kept);
  EXPECT_EQ(s.outcome, Outcome::contested);
  EXPECT_EQ(describe(s),
            "contested: 3 of 5 sources contradict the clock kept so far, which 2 support");
  EXPECT_EQ(describe(s.verdicts[0]),
            "contested: contradicts the clock kept so far, which 2 of 5 sources support");
}

TEST(Selection, AKeptClockHasNoVoteWithoutSupportOrWhenOneSourceMadeIt) {
  const KeptClock kept{{-0.010, 0.010}, 3};
  const std::vector<Candidate> moved = {source(1, 1.0), source(2, 1.0), source(3, 1.0)};
  EXPECT_EQ(select(kNow, moved, {}, kept).outcome, Outcome::selected) << "our oscillator jumped";
  const std::vector<Candidate> split = {source(1, 1.0), source(2, 1.0), source(3, 0.0)};
  EXPECT_EQ(select(kNow, split, {}, kept).outcome, Outcome::contested);
  EXPECT_EQ(select(kNow, split, {}, KeptClock{{-0.010, 0.010}, 1}).outcome, Outcome::selected)
      << "that clock was only an echo of source 3";
}

TEST(Selection, EverySourceWithoutAVoteSaysWhy) {
  std::vector<Candidate> all(9, source(0, 0));
  for (std::uint32_t i = 0; i < all.size(); ++i) all[i].id = i + 1;
  all[0].options.noselect = true;
  all[1].reachable = false;
  all[2].samples = 2;
  all[3].leap = wire::Leap::unknown;
  all[4].stratum = 15;
  all[5].root_delay_s = 4.18;
  all[6].loop = true;
  all[7].estimate.offset_s = std::nan("");
  const Selection s = run(all);
  EXPECT_EQ(s.voters, 1);
  const std::vector<std::string> words = {
      "noselect",
      "unreachable",
      "waiting: 2 of 4 samples",
      "unsynchronised: it says so itself",
      "stratum 15 over 14",
      "root distance 2.1 s over 1.5 s",
      "loop: it takes its time from us, or is this server itself",
      "invalid: its numbers make no sense",
      "selected"};
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(describe(s.verdicts[i]), words[i]);
}

TEST(Selection, EstimatesThatMakeNoSenseHaveNoVote) {
  for (int which = 0; which < 9; ++which) {
    Candidate c = source(1, 0);
    double* const fields[] = {&c.estimate.offset_s,   &c.estimate.rate,     &c.estimate.offset_var,
                              &c.estimate.covariance, &c.estimate.rate_var, &c.estimate.wander,
                              &c.root_delay_s,        &c.root_dispersion_s, &c.estimate.offset_var};
    *fields[which] = which == 8 ? -1e-9 : std::nan("");
    EXPECT_EQ(run({c}).verdicts[0].standing, Standing::invalid) << which;
  }
}

// A source that steps further and further with every sample once made a clock that ran backwards at
// eighteen seconds a second.
TEST(Selection, WhatRunsAsNoClockDoesHasNoVote) {
  for (const double rate : {-18.07, -1.0, -0.11, 0.11, 1.0, 1e300}) {
    Candidate c = source(1, 0);
    c.estimate.rate = rate;
    EXPECT_EQ(run({c}).verdicts[0].standing, Standing::invalid) << rate;
  }
  Candidate slewed = source(1, 0);
  slewed.estimate.rate = 83'333e-6;
  EXPECT_EQ(run({slewed}).verdicts[0].standing, Standing::selected);
  for (const double offset_s : {-1e10, 1e10, 1e300}) {
    EXPECT_EQ(run({source(1, offset_s)}).verdicts[0].standing, Standing::invalid) << offset_s;
  }
  EXPECT_EQ(run({source(1, -0x1p31)}).verdicts[0].standing, Standing::selected);
}

TEST(Selection, TooFewAgreeingSourcesAreNotBelieved) {
  const Selection s = run({source(1, 0), source(2, 0.001), source(3, 1)}, {.minsources = 3});
  EXPECT_EQ(s.outcome, Outcome::too_few);
  EXPECT_EQ(describe(s.verdicts[0]), "too few: 2 of 3 sources agree");
  EXPECT_EQ(describe(s), "too few sources: 2 agree, 3 are needed (minsources)");
  EXPECT_EQ(s.verdicts[2].standing, Standing::falseticker);
}

TEST(Selection, ATrustedSourceOutvotesAllOthersButNotAnotherTrustedOne) {
  std::vector<Candidate> all = {source(1, 1), source(2, 0), source(3, 0), source(4, 0)};
  all[0].options.trust = true;
  EXPECT_EQ(standings(run(all)), (std::vector{Standing::selected, Standing::falseticker,
                                              Standing::falseticker, Standing::falseticker}));
  all[1].options.trust = true;
  const Selection s = run(all);
  EXPECT_EQ(s.verdicts[0].standing, Standing::falseticker) << "two others side with its opponent";
  EXPECT_TRUE(is_truechimer(s.verdicts[1].standing));
  EXPECT_EQ(run({all[0], all[1]}).outcome, Outcome::no_majority);
}

TEST(Selection, PreferNarrowsTheChoiceAmongThoseThatAgreeOnly) {
  std::vector<Candidate> all = {source(1, 0, 0.001), source(2, 0), source(3, 0)};
  all[1].options.prefer = true;
  EXPECT_EQ(standings(run(all)),
            (std::vector{Standing::not_preferred, Standing::selected, Standing::not_preferred}));
  all[1].estimate.offset_s = 1;
  const Selection s = run(all);
  EXPECT_EQ(s.verdicts[1].standing, Standing::falseticker) << "preferred is not trusted";
  EXPECT_EQ(s.verdicts[0].standing, Standing::selected);
}

TEST(Selection, ARequiredSourceMustBeAmongThoseThatAgree) {
  std::vector<Candidate> all = {source(1, 0), source(2, 0), source(3, 1)};
  all[2].options.require = true;
  EXPECT_EQ(run(all).outcome, Outcome::required_missing);
  all[2].reachable = false;
  EXPECT_EQ(run(all).outcome, Outcome::required_missing);
  all[0].options.require = true;
  EXPECT_EQ(run(all).outcome, Outcome::selected);
}

// A and C contradict each other and B allows both: B is right whichever of them lies.
TEST(Selection, OfTwoMajoritiesOnlyTheSourceInBothIsBelieved) {
  const Selection s = run({source(1, 0, 0.001), source(2, 0, 0.020), source(3, 0.015, 0.001)});
  EXPECT_EQ(standings(s),
            (std::vector{Standing::ambiguous, Standing::selected, Standing::ambiguous}));
}

TEST(Selection, ClusteringDropsTheOneFarFromTheOthersAndKeepsThree) {
  const std::vector<Candidate> all = {source(1, 0, 0.001), source(2, 0.0003, 0.001),
                                      source(3, 0.0005, 0.001), source(4, 0.040, 0.050)};
  EXPECT_EQ(run(all).verdicts[3].standing, Standing::outlier);
  EXPECT_EQ(run({all[0], all[1], all[3]}).verdicts[2].standing, Standing::combined);
}

TEST(Selection, TheSystemSourceStaysUnlessAnotherIsClearlyBetter) {
  std::vector<Candidate> all = {source(1, 0, 0.011), source(2, 0, 0.010)};
  EXPECT_EQ(run(all).system, 1u);
  all[0].last = Standing::selected;
  EXPECT_EQ(run(all).system, 0u);
  all[0] = source(1, 0, 0.030);
  all[0].last = Standing::selected;
  EXPECT_EQ(run(all).system, 1u);
}

TEST(Selection, TheSystemSourceDoesNotFlapWhileDistancesJitter) {
  std::mt19937_64 dice = seeded_dice(11);
  std::vector<Standing> last(3, Standing::waiting);
  int changes = 0;
  std::size_t system = 3;
  for (int i = 0; i < 10'000; ++i) {
    std::vector<Candidate> all;
    for (std::uint32_t id = 1; id <= 3; ++id) {
      all.push_back(source(id, 0, uniform(dice, 0.010, 0.012)));
      all.back().last = last[id - 1];
    }
    const Selection s = run(all);
    changes += s.system != system ? 1 : 0;
    system = s.system;
    last = standings(s);
  }
  EXPECT_EQ(changes, 1) << "the first choice only";
}

Candidate any_source(std::mt19937_64& dice, std::uint32_t id) {
  // A coarse grid makes ties and touching intervals common.
  Candidate c =
      source(id, static_cast<double>(dice() % 13) / 64, static_cast<double>(1 + dice() % 6) / 64);
  if (dice() % 2) c.estimate.offset_s += uniform(dice, -0.01, 0.01);
  c.stratum = static_cast<std::uint8_t>(1 + dice() % 3);
  c.options = {.prefer = dice() % 6 == 0,
               .trust = dice() % 6 == 0,
               .noselect = dice() % 12 == 0,
               .require = dice() % 12 == 0};
  c.reachable = dice() % 12 != 0;
  c.last = static_cast<Standing>(dice() % kStandingNames.size());
  return c;
}

TEST(Selection, NoOrderOfUpToFiveSourcesChangesAnyVerdict) {
  std::mt19937_64 dice = seeded_dice(20'260'901);
  std::map<Outcome, int> seen;
  for (int round = 0; round < 20'000; ++round) {
    const std::size_t n = 1 + dice() % 5;
    std::vector<Candidate> all;
    for (std::size_t i = 0; i < n; ++i)
      all.push_back(any_source(dice, static_cast<std::uint32_t>(i)));
    const SelectionPolicy policy{.minsources = static_cast<int>(dice() % 3)};
    std::optional<KeptClock> kept;
    if (dice() % 2) kept = KeptClock{{-0.01, uniform(dice, 0, 0.1)}, static_cast<int>(dice() % 5)};
    const Selection first = select(kNow, all, policy, kept);
    ++seen[first.outcome];
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    while (std::next_permutation(order.begin(), order.end())) {
      std::vector<Candidate> shuffled;
      for (const std::size_t i : order) shuffled.push_back(all[i]);
      const Selection again = select(kNow, shuffled, policy, kept);
      ASSERT_EQ(again.outcome, first.outcome) << round;
      ASSERT_EQ(describe(again), describe(first)) << round;
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_EQ(describe(again.verdicts[i]), describe(first.verdicts[order[i]])) << round;
      }
      if (first.outcome != Outcome::selected) continue;
      ASSERT_EQ(order[again.system], first.system) << round;
    }
  }
  EXPECT_EQ(seen.size(), 6u) << "every outcome must have come up";
}

// Every set of up to five out of these, in every order, with every rule: nothing here is drawn.
std::vector<Candidate> representatives() {
  std::vector<Candidate> kinds = {source(0, 0),    source(0, 0.020),       source(0, 0.015, 0.005),
                                  source(0, 1),    source(0, 0.5, 0.600),  source(0, 0),
                                  source(0, 0.01), source(0, 0.02, 0.001), source(0, 0)};
  kinds[1].last = Standing::selected;
  kinds[4].last = Standing::outlier;
  kinds[5].options.prefer = true;
  kinds[6].options.trust = true;
  kinds[7].options.require = true;
  kinds[8].reachable = false;
  return kinds;
}

void expect_same(const Selection& again, const Selection& first,
                 const std::vector<std::size_t>& order) {
  ASSERT_EQ(again.outcome, first.outcome);
  ASSERT_EQ(again.voters, first.voters);
  ASSERT_EQ(again.agreeing, first.agreeing);
  ASSERT_EQ(again.supporting, first.supporting);
  ASSERT_EQ(again.majority.has_value(), first.majority.has_value());
  if (first.majority) {
    ASSERT_EQ(again.majority->low_s, first.majority->low_s);
    ASSERT_EQ(again.majority->high_s, first.majority->high_s);
    ASSERT_EQ(again.possible.low_s, first.possible.low_s);
    ASSERT_EQ(again.possible.high_s, first.possible.high_s);
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Verdict& a = again.verdicts[i];
    const Verdict& b = first.verdicts[order[i]];
    ASSERT_EQ(a.standing, b.standing);
    ASSERT_EQ(a.have, b.have);
    ASSERT_EQ(a.want, b.want);
  }
  if (first.outcome == Outcome::selected) {
    ASSERT_EQ(order[again.system], first.system);
  }
}

TEST(Selection, NoOrderOfAnySetOfRepresentativesChangesAnything) {
  const std::vector<Candidate> kinds = representatives();
  std::map<Outcome, int> seen;
  std::map<Standing, int> stood;
  int orders = 0;
  const auto try_all = [&](const std::vector<Candidate>& all, const SelectionPolicy& policy,
                           const std::optional<KeptClock>& kept) {
    const Selection first = select(kNow, all, policy, kept);
    ++seen[first.outcome];
    for (const Verdict& v : first.verdicts) ++stood[v.standing];
    std::vector<std::size_t> order(all.size());
    std::iota(order.begin(), order.end(), 0);
    do {
      std::vector<Candidate> shuffled;
      for (const std::size_t i : order) shuffled.push_back(all[i]);
      expect_same(select(kNow, shuffled, policy, kept), first, order);
      ++orders;
    } while (!HasFatalFailure() && std::next_permutation(order.begin(), order.end()));
  };
  // Digits that do not descend stand for a set; the ids ascend or descend with them.
  const std::size_t n = kinds.size() + 1;  // the last digit is no source
  std::vector<std::size_t> set(5, 0);
  const auto next_set = [&] {
    std::size_t at = set.size();
    while (at > 0 && set[at - 1] == n - 1) --at;
    if (at == 0) return false;
    const std::size_t digit = set[at - 1] + 1;
    std::fill(set.begin() + static_cast<std::ptrdiff_t>(at) - 1, set.end(), digit);
    return true;
  };
  do {
    for (const bool ascending : {true, false}) {
      std::vector<Candidate> all;
      for (const std::size_t kind : set) {
        if (kind == n - 1) break;
        all.push_back(kinds[kind]);
        const auto place = static_cast<std::uint32_t>(all.size());
        all.back().id = ascending ? place : 10 - place;
      }
      try_all(all, {}, {});
      try_all(all, {.minsources = 2}, KeptClock{{-0.012, 0.012}, 3});
      ASSERT_FALSE(HasFatalFailure());
    }
  } while (next_set());
  EXPECT_EQ(seen.size(), 6u) << "every outcome must have come up";
  EXPECT_GE(stood.size(), 11u) << "and every verdict that depends on others";
  EXPECT_GT(orders, 500'000);
}

// Premise: more than half of the voters contain the true offset.
TEST(Selection, WhileMostAreRightSomebodyIsChosenAndEveryPlainFalsetickerIsFound) {
  std::mt19937_64 dice = seeded_dice(42);
  for (int round = 0; round < 100'000; ++round) {
    const int n = static_cast<int>(3 + dice() % 6);
    const int bad = static_cast<int>(dice() % static_cast<unsigned>((n - 1) / 2 + 1));
    const double truth = uniform(dice, -1, 1);
    std::vector<Candidate> all;
    for (int i = 0; i < n; ++i) {
      const double distance = std::exp(uniform(dice, std::log(1e-4), std::log(0.3)));
      // Liars are all further off than twice the widest interval, each elsewhere.
      const double error = i < bad ? (dice() % 2 ? 1 : -1) * (1.0 + i + uniform(dice, 0, 0.01))
                                   : uniform(dice, -1, 1) * (distance - 1e-9);
      all.push_back(source(static_cast<std::uint32_t>(i), truth + error, distance));
    }
    const Selection s = select(kNow, all, {});
    ASSERT_EQ(s.outcome, Outcome::selected) << round;
    ASSERT_LE(s.majority->low_s, truth) << round;
    ASSERT_GE(s.majority->high_s, truth) << round;
    for (int i = 0; i < n; ++i) {
      const Standing standing = s.verdicts[static_cast<std::size_t>(i)].standing;
      ASSERT_EQ(is_truechimer(standing), i >= bad) << round << " source " << i;
    }
  }
}

}  // namespace
}  // namespace ntp::clock

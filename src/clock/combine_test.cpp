#include "clock/combine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "clock/dice_test.h"

namespace ntp::clock {
namespace {

constexpr RawTime kStart{std::chrono::seconds(1000)};

RawTime after(double s) { return kStart + std::chrono::nanoseconds(std::llround(s * 1e9)); }

// A path of constant delay: its source is off by `bias_s` for ever, within half the delay.
Candidate source(std::uint32_t id, RawTime at, double offset_s, double delay_s = 0.020,
                 double sigma_s = 50e-6) {
  Candidate c{.id = id};
  c.estimate = {.at = at,
                .offset_s = offset_s,
                .offset_var = sigma_s * sigma_s,
                .covariance = sigma_s * 1e-9 / 2,
                .rate_var = 1e-18,
                .wander = 1e-20};
  c.root_delay_s = delay_s;
  c.root_dispersion_s = 0.0001;
  c.leap = wire::Leap::none;
  c.stratum = 2;
  c.refid = 100 + id;
  c.reachable = true;
  c.samples = 8;
  return c;
}

Combined feed(Combiner& combiner, RawTime now, const std::vector<Candidate>& all) {
  const Selection s = select(now, all, {});
  EXPECT_EQ(s.outcome, Outcome::selected);
  return combiner.combine(now, all, s);
}

double bound_s(const Combined& c) { return c.root_delay_s / 2 + c.root_dispersion_s; }

TEST(Combine, OneSourceIsServedAsItIs) {
  Combiner combiner;
  Candidate c = source(7, kStart, 0.25);
  c.estimate.rate = 3e-6;
  const Combined out = feed(combiner, after(2), {c});
  const Estimate here = c.estimate.at_time(after(2));
  EXPECT_DOUBLE_EQ(out.clock.offset_s, here.offset_s);
  EXPECT_DOUBLE_EQ(out.clock.rate, 3e-6);
  EXPECT_DOUBLE_EQ(out.clock.offset_var, here.offset_var);
  EXPECT_DOUBLE_EQ(out.clock.covariance, here.covariance);
  EXPECT_DOUBLE_EQ(out.clock.rate_var, here.rate_var);
  EXPECT_DOUBLE_EQ(out.root_delay_s, 0.020);
  EXPECT_NEAR(bound_s(out), root_distance_s(here, c), 1e-15);
  EXPECT_EQ(out.refid, 107u);
  EXPECT_EQ(out.stratum, 2);
  EXPECT_EQ(out.newest, kStart);
}

TEST(Combine, AStepOfTheOnlySourceIsFollowedAtOnce) {
  Combiner combiner;
  feed(combiner, after(0), {source(1, after(0), 0)});
  EXPECT_DOUBLE_EQ(feed(combiner, after(1), {source(1, after(1), 0.5)}).clock.offset_s, 0.5);
}

TEST(Combine, NoiseOfPathsAveragesAndWanderOfTheBaseDoesNot) {
  Combiner combiner;
  std::vector<Candidate> all;
  for (std::uint32_t id = 1; id <= 4; ++id) all.push_back(source(id, kStart, 0));
  const Combined out = feed(combiner, kStart, all);
  const Estimate one = all[0].estimate;
  EXPECT_NEAR(out.clock.offset_var / one.offset_var, 0.25 + 0.75 / 4, 1e-9);
  EXPECT_NEAR(out.clock.covariance / one.covariance, 0.5 + 0.5 / 4, 1e-9);
  EXPECT_NEAR(out.clock.rate_var / one.rate_var, 0.75 + 0.25 / 4, 1e-9);
  EXPECT_DOUBLE_EQ(out.clock.wander, one.wander);
}

// A Kalman filter of the model that Estimate states, fed once a second.
struct Filter {
  double offset = 0, rate = 0;
  double p11 = 1, p12 = 0, p22 = 1;

  void feed(double measured, double noise, double wander) {
    offset += rate;
    p11 += 2 * p12 + p22 + wander / 3;
    p12 += p22 + wander / 2;
    p22 += wander;
    const double k1 = p11 / (p11 + noise);
    const double k2 = p12 / (p11 + noise);
    const double miss = measured - offset;
    offset += k1 * miss;
    rate += k2 * miss;
    p22 -= k2 * p12;
    p12 -= k1 * p12;
    p11 -= k1 * p11;
  }
};

TEST(Combine, TheStatedVarianceIsThatOfFourFiltersOverOneWanderingClock) {
  std::mt19937_64 dice = seeded_dice(64);
  std::normal_distribution<double> gauss(0, 1);
  const double noise = 1;
  const double wander = 1e-8;
  std::vector<Filter> filters(4);
  double offset = 0;
  double rate = 0;
  double offset_sum = 0;
  double rate_sum = 0;
  constexpr int kSteps = 1'000'000;
  for (int i = 0; i < kSteps; ++i) {
    offset += rate;
    rate += gauss(dice) * std::sqrt(wander);
    double offset_error = 0;
    double rate_error = 0;
    for (Filter& f : filters) {
      f.feed(offset + gauss(dice), noise, wander);
      offset_error += (f.offset - offset) / 4;
      rate_error += (f.rate - rate) / 4;
    }
    if (i < 10'000) continue;
    offset_sum += offset_error * offset_error / (kSteps - 10'000);
    rate_sum += rate_error * rate_error / (kSteps - 10'000);
  }
  std::vector<Candidate> all;
  for (std::uint32_t id = 1; id <= 4; ++id) {
    Candidate c = source(id, kStart, 0);
    c.estimate.offset_var = filters[0].p11 * 1e-8;  // scaled: root distances stay below a second
    c.estimate.covariance = filters[0].p12 * 1e-8;
    c.estimate.rate_var = filters[0].p22 * 1e-8;
    all.push_back(c);
  }
  Combiner combiner;
  const Combined out = feed(combiner, kStart, all);
  std::printf("stated / seen: offset %.3f, rate %.3f\n", out.clock.offset_var / (offset_sum * 1e-8),
              out.clock.rate_var / (rate_sum * 1e-8));
  EXPECT_NEAR(out.clock.offset_var / (offset_sum * 1e-8), 1, 0.1);
  EXPECT_NEAR(out.clock.rate_var / (rate_sum * 1e-8), 1, 0.1);
}

TEST(Combine, ANearSourceCountsForMoreThanAFarOne) {
  Combiner combiner;
  const Combined out =
      feed(combiner, kStart, {source(1, kStart, 0, 0.0002, 1e-6), source(2, kStart, 0.004, 0.020)});
  EXPECT_LT(std::abs(out.clock.offset_s), 2e-6);
  EXPECT_LT(bound_s(out), 0.0004);
}

TEST(Combine, TheBoundAtALaterTimeIsThatOfTheEstimatePlusWhatWasHeld) {
  Combiner combiner;
  const Combined out = feed(combiner, kStart, {source(1, kStart, 0), source(2, kStart, 0.001)});
  EXPECT_NEAR(root_dispersion_s(out, kStart), out.root_dispersion_s, 1e-15);
  double before = out.root_dispersion_s;
  for (int s = 60; s < 86'400; s += 60) {
    const double now = root_dispersion_s(out, after(s));
    ASSERT_GT(now, before);
    before = now;
  }
  // Wander alone: sigma^2 = wander t^3 / 3.
  const double t = 86'340;
  EXPECT_GT(before - out.held_s, kCoverage * std::sqrt(1e-20 * t * t * t / 3));
}

// ≥ 10^5 cases of the derivation in the header: random sources that come and go, random true
// offsets within their distances, biases learned from whatever came before.
TEST(Combine, TheBoundHoldsWheneverEverySurvivorIsATruechimer) {
  std::mt19937_64 dice = seeded_dice(2'036);
  long cases = 0;
  double tightest = 1;
  for (int world = 0; world < 4'000; ++world) {
    Combiner combiner;
    double at_s = 0;
    for (int step = 0; step < 30; ++step) {
      at_s += std::exp(uniform(dice, std::log(0.01), std::log(5'000)));
      const double truth = uniform(dice, -1, 1) * (dice() % 4 == 0 ? 1 : 0.001);
      std::vector<Candidate> all;
      for (std::uint32_t id = 1; id <= 6; ++id) {
        if (dice() % 3 == 0 && !(id == 6 && all.empty())) continue;
        Candidate c = source(id, after(at_s), 0, std::exp(uniform(dice, -9, -2)),
                             std::exp(uniform(dice, -14, -7)));
        const double distance = root_distance_s(c.estimate, c) - 1e-12;
        c.estimate.offset_s = truth + distance * (dice() % 3 == 0 ? 1 : uniform(dice, -1, 1));
        all.push_back(c);
      }
      const Combined out = feed(combiner, after(at_s), all);
      const double error = std::abs(out.clock.offset_s - truth);
      ASSERT_LE(error, bound_s(out) + 1e-12) << "world " << world << " step " << step;
      ASSERT_GE(out.clock.offset_var * out.clock.rate_var,
                out.clock.covariance * out.clock.covariance * (1 - 1e-9));
      tightest = std::min(tightest, 1 - error / bound_s(out));
      ++cases;
    }
  }
  EXPECT_GE(cases, 100'000);
  EXPECT_LT(tightest, 0.05) << "the cases must come near to the bound to prove anything";
}

// A minority of liars, all to one side and close by, may agree with some honest source and throw
// out another. Wherever they contradict anybody, the bound holds; a lie that fits everything cannot
// show.
TEST(Combine, TheBoundHoldsAgainstAnyMinorityThatContradictsSomebody) {
  std::mt19937_64 dice = seeded_dice(66);
  long seen = 0;
  long excluded = 0;
  for (int round = 0; round < 300'000; ++round) {
    const int n = 3 + 2 * static_cast<int>(dice() % 3);
    const double reach = std::exp(uniform(dice, 0, 2));
    const double side = dice() % 2 ? 1 : -1;
    std::vector<Candidate> all;
    for (int i = 0; i < n; ++i) {
      const double delay = std::exp(uniform(dice, std::log(0.004), std::log(0.04)));
      Candidate c = source(static_cast<std::uint32_t>(i), kStart, 0, delay, 1e-6);
      const double distance = root_distance_s(c.estimate, c) - 1e-12;
      const bool lies = i < (n - 1) / 2;
      c.estimate.offset_s =
          distance * (lies ? side * uniform(dice, 1, reach) : uniform(dice, -1, 1));
      all.push_back(c);
    }
    const Selection s = select(kStart, all, {});
    ASSERT_EQ(s.outcome, Outcome::selected);
    ASSERT_LE(s.possible.low_s, 0);
    ASSERT_GE(s.possible.high_s, 0);
    if (s.agreeing == s.voters) continue;
    ++seen;
    for (int i = (n - 1) / 2; i < n; ++i) {
      if (is_truechimer(s.verdicts[static_cast<std::size_t>(i)].standing)) continue;
      ++excluded;
      break;
    }
    const Combined out = Combiner{}.combine(kStart, all, s);
    ASSERT_LE(std::abs(out.clock.offset_s), bound_s(out)) << round;
  }
  EXPECT_GT(seen, 100'000);
  EXPECT_GT(excluded, 10'000) << "honest sources must have been thrown out to prove anything";
}

// Four paths of constant, different asymmetry, and an estimate's slow noise.
struct Paths {
  std::vector<double> biases_s{0.003, -0.004, 0.001, 0.006};
  std::vector<double> noise_s{0, 0, 0, 0};
  std::mt19937_64 dice = seeded_dice(5);
  Combiner combiner;
  double at_s = 0;

  double noise() { return std::normal_distribution<double>(0, 1)(dice); }

  // Every update a second apart; the noise of an estimate is correlated over about 300 s.
  Combined tick(unsigned present) {
    at_s += 1;
    std::vector<Candidate> all;
    for (std::size_t i = 0; i < biases_s.size(); ++i) {
      noise_s[i] += -noise_s[i] / 300 + noise() * 50e-6 * std::sqrt(2.0 / 300);
      if ((present >> i) % 2 == 0) continue;
      all.push_back(
          source(static_cast<std::uint32_t>(i + 1), after(at_s), biases_s[i] + noise_s[i]));
    }
    return feed(combiner, after(at_s), all);
  }
};

TEST(Combine, LosingAndRegainingASourceMovesTheClockByASmallPartOfItsBias) {
  for (std::size_t lost = 0; lost < 4; ++lost) {
    Paths paths;
    double last = 0;
    for (int s = 0; s < 6 * 3600; ++s) last = paths.tick(0xf).clock.offset_s;
    double jump = 0;
    double moved = 0;
    const double before = last;
    for (int s = 0; s < 3600; ++s) {
      // Away for 30 s, there for 30 s: sixty losses and regains.
      const unsigned present = s / 30 % 2 == 0 ? 0xfu & ~(1u << lost) : 0xfu;
      const Combined out = paths.tick(present);
      ASSERT_LE(std::abs(out.clock.offset_s), bound_s(out)) << s;
      jump = std::max(jump, std::abs(out.clock.offset_s - last));
      moved = std::max(moved, std::abs(out.clock.offset_s - before));
      last = out.clock.offset_s;
    }
    // A plain mean would jump by a third of the bias against the others' mean (1 to 2.2 ms).
    EXPECT_LT(jump, 60e-6) << "source " << lost;
    EXPECT_LT(moved, 400e-6) << "source " << lost;
  }
}

TEST(Combine, ASourceThatComesBackByAnotherRouteDoesNotMoveTheClock) {
  Paths paths;
  for (int s = 0; s < 6 * 3600; ++s) paths.tick(0xf);
  double last = 0;
  for (int s = 0; s < 60; ++s) last = paths.tick(0x7).clock.offset_s;
  paths.biases_s[3] -= 0.009;
  for (int s = 0; s < 60; ++s) {
    const double now = paths.tick(0xf).clock.offset_s;
    ASSERT_NEAR(now, last, 60e-6) << s;
    last = now;
  }
}

TEST(Combine, AfterALongLossTheClockHasMovedSlowlyToWhatIsLeft) {
  Paths paths;
  double last = 0;
  for (int s = 0; s < 6 * 3600; ++s) last = paths.tick(0xf).clock.offset_s;
  EXPECT_NEAR(last, 0.0015, 0.0002) << "the mean of all";
  double fastest = 0;
  for (int s = 0; s < 12 * 3600; ++s) {
    const double now = paths.tick(0x7).clock.offset_s;
    fastest = std::max(fastest, std::abs(now - last));
    last = now;
  }
  EXPECT_LT(fastest, 60e-6);
  EXPECT_NEAR(last, 0, 0.0002) << "the mean of the three";
}

TEST(Combine, AReplacementOfTheOnlySourceDoesNotJumpEither) {
  Combiner combiner;
  double at_s = 0;
  double last = 0;
  for (; at_s < 7200; at_s += 1)
    last = feed(combiner, after(at_s), {source(1, after(at_s), 0.003)}).clock.offset_s;
  EXPECT_DOUBLE_EQ(last, 0.003);
  const Combined out = feed(combiner, after(at_s), {source(2, after(at_s), -0.003)});
  EXPECT_NEAR(out.clock.offset_s, 0.003, 20e-6);
  EXPECT_GE(bound_s(out), 0.016) << "the distance to what the new source says is part of the bound";
  for (; at_s < 12 * 3600; at_s += 1)
    last = feed(combiner, after(at_s), {source(2, after(at_s), -0.003)}).clock.offset_s;
  EXPECT_NEAR(last, -0.003, 20e-6);
  const Combined back = feed(combiner, after(at_s), {source(1, after(at_s), 0.003)});
  EXPECT_NEAR(back.clock.offset_s, -0.003, 100e-6) << "what is remembered of source 1";
}

TEST(Combine, AClockFarOutsideOfWhatItsSourcesSayComesBackInSeconds) {
  Combiner combiner;
  double at_s = 0;
  for (; at_s < 7200; at_s += 1) feed(combiner, after(at_s), {source(1, after(at_s), 0)});
  Combined out;
  for (int i = 0; i < 60; ++i, at_s += 1) {
    out = feed(combiner, after(at_s), {source(2, after(at_s), 0.5), source(3, after(at_s), 0.5)});
  }
  EXPECT_NEAR(out.clock.offset_s, 0.5, 0.020);
}

TEST(Combine, AYoungClockFollowsAllItsSourcesWithoutDelay) {
  Combiner combiner;
  feed(combiner, after(0), {source(1, after(0), 0.004, 0.020, 0.001)});
  Combined out;
  for (int s = 1; s <= 120; ++s) {
    const RawTime now = after(s);
    out = feed(combiner, now, {source(1, now, 0.001), source(2, now, -0.001), source(3, now, 0.0)});
  }
  EXPECT_NEAR(out.clock.offset_s, 0, 100e-6);
}

TEST(Combine, TheOrderOfTheSourcesDoesNotMatterToTheLastBit) {
  std::mt19937_64 dice = seeded_dice(9);
  for (int world = 0; world < 200; ++world) {
    Combiner one;
    Combiner other;
    for (int step = 0; step < 20; ++step) {
      std::vector<Candidate> all;
      for (std::uint32_t id = 1; id <= 5; ++id) {
        if (dice() % 4 == 0 && id > 1) continue;
        all.push_back(source(id, after(step), uniform(dice, -0.009, 0.009)));
      }
      const Combined a = feed(one, after(step), all);
      std::shuffle(all.begin(), all.end(), dice);
      const Combined b = feed(other, after(step), all);
      ASSERT_EQ(a.clock.offset_s, b.clock.offset_s);
      ASSERT_EQ(a.clock.rate, b.clock.rate);
      ASSERT_EQ(a.root_dispersion_s, b.root_dispersion_s);
      ASSERT_EQ(a.system_id, b.system_id);
    }
  }
}

TEST(Combine, MoreSourcesThanAreRememberedAreCombinedAllTheSame) {
  Combiner combiner;
  for (int round = 0; round < 3; ++round) {
    std::vector<Candidate> all;
    for (std::uint32_t id = 0; id < 2 * kMaxBiases; ++id) {
      all.push_back(source(id + static_cast<std::uint32_t>(round) * 1000, after(round), 1e-6 * id));
    }
    EXPECT_EQ(feed(combiner, after(round), all).sources, static_cast<int>(2 * kMaxBiases));
  }
}

// A hundred pool servers that come and go one by one: memory stays bounded, nothing jumps.
TEST(Combine, ALongParadeOfSourcesIsSurvived) {
  Combiner combiner;
  double last = 0;
  for (int s = 0; s < 20'000; ++s) {
    std::vector<Candidate> all;
    for (int k = 0; k < 3; ++k) {
      const int id = (s + 33 * k) / 100 * 3 + k;
      all.push_back(source(static_cast<std::uint32_t>(id), after(s), 0.005 * std::sin(id)));
    }
    const double now = feed(combiner, after(s), all).clock.offset_s;
    ASSERT_TRUE(s < 1000 || std::abs(now - last) < 50e-6) << s;
    last = now;
  }
}

}  // namespace
}  // namespace ntp::clock

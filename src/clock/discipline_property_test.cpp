// What holds of the clock as a whole for every stream of events: sources that join, leave, step,
// lie and say what makes no sense. NTP_PROPERTY_STREAMS sets how many, NTP_PROPERTY_SEED repeats a
// run.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "clock/clock_filter.h"
#include "clock/dice_test.h"
#include "clock/discipline_fixture.h"
#include "sim/random.h"

namespace ntp::clock {
namespace {

using sim::Random;

constexpr RawTime kBegin{1000s};

double power(Random& dice, double low, double high) {
  return std::pow(10, low + (high - low) * dice.uniform());
}

double either_side(Random& dice, double size) { return dice.chance(0.5) ? size : -size; }

std::uint64_t below(Random& dice, std::uint64_t limit) { return (dice.next() >> 16) % limit; }

// A number of any size, and now and then none at all.
double any_number(Random& dice) {
  constexpr double kOdd[] = {0.0, -0.0, 1e300, -1e300, 1e-300, 1e12, -1e12, 1e19};
  if (dice.chance(0.02)) return std::numeric_limits<double>::quiet_NaN();
  if (dice.chance(0.02)) return either_side(dice, std::numeric_limits<double>::infinity());
  if (dice.chance(0.2)) return kOdd[below(dice, std::size(kOdd))];
  return either_side(dice, power(dice, -20, 12));
}

// A source with a filter as the client has it, or one that says any numbers right to the
// discipline.
struct Speaker {
  std::uint32_t id = 0;
  bool raw = false;  // no filter: the candidate is made up
  double lie_s = 0;
  double noise_s = 0;
  double delay_s = 0;
  double rate = 0;
  double interval_s = 1;
  double next_s = 0;
  bool absurd = false;  // its samples are anything
  Candidate said{};     // what it says of itself
  ClockFilter filter{};
};

class Storm {
 public:
  explicit Storm(std::uint64_t seed) : dice_(seed) {
    policy_.unsynchronised = static_cast<Unsynchronised>(below(dice_, 3));
    policy_.local_stratum = static_cast<std::uint8_t>(2 + below(dice_, 13));
    policy_.local_wait_s = dice_.chance(0.5) ? 0 : power(dice_, 0, 3);
    policy_.orphan_wait_s = power(dice_, 0, 3);
    policy_.orphan_id = server::kRefidOrphans + 50;
    policy_.quorum_grace_s = power(dice_, 0, 4);
    policy_.selection.minsources = static_cast<int>(1 + below(dice_, 3));
    policy_.selection.max_distance_s = policy_.max_root_distance_s = power(dice_, -3, 1);
    pace_s_ = power(dice_, -2, 4);
    truth_s_ = either_side(dice_, power(dice_, -6, 9));
    drift_ = either_side(dice_, power(dice_, -9, -3));
    const auto n = 1 + below(dice_, 7);
    for (std::uint64_t i = 0; i < n; ++i) join();
  }

  // One tick of whoever keeps the time.
  void step() {
    const double elapsed_s = dice_.chance(0.05)   ? 0
                             : dice_.chance(0.02) ? power(dice_, 3, 6)
                                                  : pace_s_ * dice_.uniform();
    now_s_ += elapsed_s;
    truth_s_ += drift_ * elapsed_s;
    happen();
    for (Speaker& s : speakers_) ask(s);
    std::vector<Candidate> all;
    for (Speaker& s : speakers_) all.push_back(candidate(s));
    std::shuffle(all.begin(), all.end(), order_);
    const Decision before = last_;
    last_ = clock_.update({raw(), begin_ + 5s, slept_}, all, policy_, nullptr);
    if (last_.slept) {
      was_synchronised_ = false;
      for (Speaker& s : speakers_) s.filter = ClockFilter{};
    }
    check(all);
    seen_[static_cast<std::size_t>(last_.state)] += 1;
  }

  const std::array<std::uint64_t, kClockStateNames.size()>& seen() const { return seen_; }

 private:
  RawTime raw() const { return kBegin + std::chrono::nanoseconds(std::llround(now_s_ * 1e9)); }

  void join() {
    Speaker s{.id = ++ids_, .raw = dice_.chance(0.25)};
    s.absurd = dice_.chance(0.2);
    s.noise_s = power(dice_, -8, -1);
    s.delay_s = power(dice_, -6, 0);
    s.rate = dice_.chance(0.7) ? 0 : either_side(dice_, power(dice_, -9, -3));
    s.interval_s = pace_s_ * power(dice_, -1, 1);
    if (dice_.chance(0.3)) s.lie_s = either_side(dice_, power(dice_, -4, 9));
    s.said = {.id = s.id, .refid = 0x0a000000 + s.id, .reachable = true};
    s.said.options = {.prefer = dice_.chance(0.1),
                      .trust = dice_.chance(0.1),
                      .noselect = dice_.chance(0.05),
                      .require = dice_.chance(0.05)};
    describe_itself(s);
    speakers_.push_back(s);
  }

  void describe_itself(Speaker& s) {
    s.said.leap = static_cast<wire::Leap>(dice_.chance(0.9) ? 0 : below(dice_, 4));
    s.said.stratum = static_cast<std::uint8_t>(dice_.chance(0.8) ? 2 : below(dice_, 17));
    if (dice_.chance(0.2)) s.said.stratum = policy_.local_stratum;
    s.said.reference = server::kRefidOrphans + static_cast<std::uint32_t>(below(dice_, 100));
    s.said.root_delay_s = power(dice_, -6, 1);
    s.said.root_dispersion_s = dice_.chance(0.1) ? 0 : power(dice_, -6, 1);
  }

  void happen() {
    if (dice_.chance(0.02) && speakers_.size() < 8) join();
    if (dice_.chance(0.02) && !speakers_.empty()) {
      speakers_.erase(speakers_.begin() +
                      static_cast<std::ptrdiff_t>(below(dice_, speakers_.size())));
    }
    if (dice_.chance(0.005)) truth_s_ += either_side(dice_, power(dice_, -6, 8));
    if (dice_.chance(0.005)) slept_ += std::chrono::seconds(1 + below(dice_, 100'000));
    for (Speaker& s : speakers_) {
      if (dice_.chance(0.02)) s.said.reachable = !s.said.reachable;
      if (dice_.chance(0.02))
        s.lie_s = dice_.chance(0.5) ? 0 : either_side(dice_, power(dice_, -4, 9));
      if (dice_.chance(0.02)) describe_itself(s);
      if (dice_.chance(0.01)) s.said.loop = !s.said.loop;
    }
  }

  void ask(Speaker& s) {
    if (s.raw || !s.said.reachable || now_s_ < s.next_s || last_.hold_samples) return;
    s.next_s = now_s_ + s.interval_s * dice_.uniform();
    Sample sample{.at = raw() - std::chrono::nanoseconds(below(dice_, 1000)),
                  .offset_s = truth_s_ + s.lie_s + s.rate * now_s_ + s.noise_s * dice_.normal(),
                  .delay_s = s.delay_s + s.noise_s * dice_.exponential()};
    if (s.absurd && dice_.chance(0.5)) sample.offset_s = any_number(dice_);
    if (s.absurd && dice_.chance(0.5)) sample.delay_s = any_number(dice_);
    if (s.absurd && dice_.chance(0.2)) sample.precision_s = std::abs(any_number(dice_));
    // What timestamps can say (RFC 5905: +-68 years) with what they can be off by.
    if (std::abs(sample.offset_s) > 0x1p31)
      sample.offset_s = std::copysign(0x1p31, sample.offset_s);
    if (std::abs(sample.delay_s) > 0x1p32) sample.delay_s = std::copysign(0x1p32, sample.delay_s);
    sample.root_delay_s = s.said.root_delay_s;
    sample.root_dispersion_s = s.said.root_dispersion_s;
    s.filter.update(sample);
  }

  // As client::Client makes it of a filter.
  Candidate candidate(const Speaker& s) {
    if (s.raw) return made_up(s);
    Candidate c = s.said;
    if (s.filter.empty()) return c;
    c.estimate = s.filter.estimate(s.filter.last()->at);
    const Sample& last = *s.filter.believed();
    c.root_delay_s = last.root_delay_s + s.filter.path().recent_delay_s();
    c.root_dispersion_s = last.root_dispersion_s + s.filter.past_error_s() + last.precision_s;
    c.samples = static_cast<int>(s.filter.samples());
    return c;
  }

  Candidate made_up(const Speaker& s) {
    Candidate c = s.said;
    const double sd_s = power(dice_, -9, 0);
    const double rate_sd = power(dice_, -12, -3);
    c.samples = static_cast<int>(below(dice_, 10));
    c.estimate = {.at = raw() - std::chrono::nanoseconds(std::llround(power(dice_, -9, 5) * 1e9)),
                  .offset_s = truth_s_ + s.lie_s + s.noise_s * dice_.normal(),
                  .rate = drift_ + s.rate,
                  .offset_var = sd_s * sd_s,
                  .covariance = sd_s * rate_sd * (2 * dice_.uniform() - 1),
                  .rate_var = rate_sd * rate_sd,
                  .wander = power(dice_, -24, -10)};
    if (!s.absurd) return c;
    double* const fields[] = {&c.estimate.offset_s,   &c.estimate.rate,     &c.estimate.offset_var,
                              &c.estimate.covariance, &c.estimate.rate_var, &c.estimate.wander,
                              &c.root_delay_s,        &c.root_dispersion_s};
    for (double* field : fields) {
      if (dice_.chance(0.2)) *field = any_number(dice_);
    }
    // A filter's covariance matrix is one (clock_filter_property_test.cpp); the selection takes
    // that for granted.
    const double most = std::sqrt(c.estimate.offset_var) * std::sqrt(c.estimate.rate_var);
    if (std::isfinite(c.estimate.covariance) && std::abs(c.estimate.covariance) > most) {
      c.estimate.covariance = std::copysign(most, c.estimate.covariance) * dice_.uniform();
    }
    return c;
  }

  void check(const std::vector<Candidate>& all) {
    ASSERT_EQ(last_.verdicts.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_EQ(last_.verdicts[i].id, all[i].id);
      ASSERT_TRUE(std::isfinite(last_.verdicts[i].offset_s));
      ASSERT_TRUE(std::isfinite(last_.verdicts[i].distance_s));
    }
    ASSERT_FALSE(last_.reason.empty());
    check_estimate();
    check_server();
    check_served();
    if (last_.state == ClockState::synchronised) check_majority(all);
    if (last_.state == ClockState::holdover) {
      ASSERT_TRUE(was_synchronised_);
    }
    was_synchronised_ = was_synchronised_ || last_.state == ClockState::synchronised;
  }

  void check_estimate() {
    const Estimate& e = last_.clock;
    ASSERT_TRUE(std::isfinite(e.offset_s) && std::isfinite(e.rate) && std::isfinite(e.covariance));
    ASSERT_TRUE(std::isfinite(e.offset_var) && e.offset_var >= 0) << e.offset_var;
    ASSERT_TRUE(std::isfinite(e.rate_var) && e.rate_var >= 0) << e.rate_var;
    ASSERT_TRUE(std::isfinite(e.wander) && e.wander >= 0) << e.wander;
    ASSERT_LE(e.covariance * e.covariance, e.offset_var * e.rate_var * (1 + 1e-6))
        << kClockStateNames[static_cast<std::size_t>(last_.state)] << ": " << last_.reason
        << "\noffset_var " << e.offset_var << " rate_var " << e.rate_var << " covariance "
        << e.covariance << " wander " << e.wander;
  }

  void check_server() {
    const server::ServerState& s = last_.server;
    ASSERT_TRUE(std::isfinite(last_.bound_s) && last_.bound_s >= 0);
    ASSERT_TRUE(std::isfinite(s.root_delay_s) && s.root_delay_s >= 0) << s.root_delay_s;
    ASSERT_TRUE(std::isfinite(s.root_dispersion_s) && s.root_dispersion_s >= 0);
    ASSERT_TRUE(std::isfinite(s.dispersion_rate) && s.dispersion_rate >= 0);
    const bool by_policy = last_.state == ClockState::local || last_.state == ClockState::orphan;
    ASSERT_EQ(s.leap != wire::Leap::unknown, last_.synchronised || by_policy);
    ASSERT_EQ(s.synchronised, last_.synchronised);
    ASSERT_EQ(last_.synchronised,
              last_.state == ClockState::synchronised || last_.state == ClockState::holdover);
    if (!last_.synchronised) return;
    ASSERT_LE(last_.bound_s, policy_.max_root_distance_s);
    ASSERT_NEAR(s.root_delay_s / 2 + s.root_dispersion_s, last_.bound_s, 1e-9 * last_.bound_s);
    ASSERT_GE(s.stratum, 2);
    ASSERT_LE(s.stratum, 15);
  }

  // What is served runs forwards until the next decision, and past it.
  void check_served() {
    const LeapingMap& served = last_.served;
    ASSERT_TRUE(std::isfinite(served.map.rate) && served.map.rate > -1) << served.map.rate;
    RealTime before = served(raw());
    for (const auto later : {1ns, 1000ns, 1'000'000ns, 1'000'000'000ns, 10'000'000'000ns}) {
      const RealTime then = served(raw() + later);
      if (raw() + later < served.step_at) {
        ASSERT_GE(then, before);
        ASSERT_LE(then - before, 2 * later + 1ns);
      }
      before = std::max(then, before);
    }
    if (last_.synchronised) {
      ASSERT_NEAR(seconds(served(raw()) - last_.base(raw())), last_.clock.offset_s,
                  2e-9 + 1e-15 * std::abs(last_.clock.offset_s));
    }
  }

  // Counted again from what the candidates said: most votes allow the point where the majority
  // begins, and whoever is used does.
  void check_majority(const std::vector<Candidate>& all) {
    ASSERT_EQ(last_.selection.outcome, Outcome::selected);
    std::vector<std::size_t> voters;
    int plain = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Standing standing = last_.verdicts[i].standing;
      if (!is_truechimer(standing) && standing != Standing::falseticker &&
          standing != Standing::ambiguous) {
        continue;
      }
      voters.push_back(i);
      plain += all[i].options.trust ? 0 : 1;
    }
    const double point_s = last_.selection.majority->low_s;
    int total = 0;
    int for_it = 0;
    int used = 0;
    for (const std::size_t i : voters) {
      const Estimate here = all[i].estimate.at_time(raw());
      const double distance_s = root_distance_s(here, all[i]);
      const bool allows =
          here.offset_s - distance_s <= point_s && point_s <= here.offset_s + distance_s;
      const int votes = all[i].options.trust ? plain + 1 : 1;
      total += votes;
      for_it += allows ? votes : 0;
      ASSERT_LE(distance_s, policy_.selection.max_distance_s);
      ASSERT_TRUE(all[i].reachable && !all[i].loop && !all[i].options.noselect);
      if (!is_used(last_.verdicts[i].standing)) continue;
      used += 1;
      ASSERT_TRUE(allows);
    }
    ASSERT_GT(2 * for_it, total);
    ASSERT_GE(used, 1);
    ASSERT_GE(last_.selection.agreeing, policy_.selection.minsources);
  }

  Random dice_;
  std::mt19937_64 order_{1};
  DisciplinePolicy policy_{};
  RealTime begin_ = utc(2026, 9, 1);
  Discipline clock_{ClockMap{kBegin, begin_, 0}, -23};
  double now_s_ = 0;
  double truth_s_ = 0;  // true - base
  double drift_ = 0;
  double pace_s_ = 1;
  std::chrono::nanoseconds slept_{};
  std::uint32_t ids_ = 0;
  std::vector<Speaker> speakers_{};
  bool was_synchronised_ = false;  // since the last sleep
  Decision last_{};
  std::array<std::uint64_t, kClockStateNames.size()> seen_{};
};

TEST(DisciplineProperty, AnyStreamOfSourcesLeavesASoundClock) {
  const std::uint64_t first = printed_seed(std::random_device{}());
  const std::uint64_t streams = streams_of_a_run(2000);
  std::array<std::uint64_t, kClockStateNames.size()> seen{};
  for (std::uint64_t seed = first; seed < first + streams; ++seed) {
    SCOPED_TRACE(testing::Message() << "NTP_PROPERTY_STREAMS=1 NTP_PROPERTY_SEED=" << seed);
    Storm storm(seed);
    const int length = seed % 64 == 0 ? 2000 : 100;
    for (int k = 0; k < length; ++k) {
      SCOPED_TRACE(testing::Message() << "step " << k);
      storm.step();
      if (testing::Test::HasFatalFailure()) return;
    }
    for (std::size_t s = 0; s < seen.size(); ++s) seen[s] += storm.seen()[s];
  }
  std::printf("%llu streams:", static_cast<unsigned long long>(streams));
  for (std::size_t s = 0; s < seen.size(); ++s) {
    std::printf(" %llu %s", static_cast<unsigned long long>(seen[s]), kClockStateNames[s].data());
    if (streams >= 1000) {
      EXPECT_GT(seen[s], streams) << kClockStateNames[s];
    }
  }
  std::printf("\n");
}

}  // namespace
}  // namespace ntp::clock

#include "clock/clock_filter.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ntp::clock {
namespace {

// Nobody's clock is further off: 500 ppm (RFC 5905's PHI times 33), one sigma.
constexpr double kRateSigmaAtStart = 500e-6;
constexpr double kFastest = 0.1;         // rate of anything that is a clock at all
constexpr double kSmallestVar = 25e-18;  // 5 ns: stamps are never better than that
constexpr double kLargest = 1e12;        // a sample beyond is nonsense, not data
constexpr double kWildest = 1e-7;        // wander of a clock that is still one
constexpr double kWatched_s = 4096;      // so long it may still turn out to be
constexpr int kStepSamples = 2;
constexpr double kStepSigmas = 5;
constexpr std::uint64_t kYoung = 4;      // samples before anything is judged
constexpr std::uint64_t kFewest = 8;     // samples before one can be called unexplained
constexpr std::uint64_t kSettled = 16;   // samples before a change of route is looked for
constexpr std::uint64_t kUsual = 64;     // samples that say at first what excess is usual
constexpr double kUsualSpan_s = 30'000;  // of excess of one kind that change it by e
constexpr double kLogOdds = 4;           // that make a longer route one of both directions
constexpr std::size_t kRaised = 12;      // slow samples in a row that are no chance any more

bool is_sane(const Sample& sample) noexcept {
  const auto fine = [](double value) { return std::fabs(value) < kLargest; };  // false for NaN
  return fine(sample.offset_s) && fine(sample.delay_s) && fine(sample.precision_s);
}

double upstream_error_s(const Sample& sample) noexcept {
  return sample.root_delay_s / 2 + sample.root_dispersion_s;
}

// Of the offset, by a clock that wanders as wildly as any since the last sample: were that taken
// for steps, nobody would ever learn how wild it is.
double wild_var(double elapsed_s) noexcept {
  return kWildest * kWildest * elapsed_s * elapsed_s * elapsed_s / 3;
}

// Of the stamps of both sides.
double floor_of(const Sample& sample) noexcept {
  return kSmallestVar + sample.precision_s * sample.precision_s;
}

}  // namespace

ClockFilter::Memory ClockFilter::Memory::after(double elapsed_s) const noexcept {
  Memory later = *this;
  if (rate_sd > 0) later.rate_sd = std::sqrt(rate_sd * rate_sd + wander * std::max(0.0, elapsed_s));
  return later;
}

double ClockFilter::typical_queueing() const noexcept {
  if (path_.size() < kYoung && queueing_.is_known()) return queueing_.mean_s();
  const double median = path_.size() == 0 ? 0 : path_.median() - path_.minimum();
  if (path_.size() < kYoung) return std::max(median, std::fabs(path_.median()) / 4);
  // 1.68 is the median of the sum of two exponentials of mean one, the root the mean of the least
  // of n.
  return median / (1.68 - std::sqrt(std::numbers::pi / 2 / static_cast<double>(path_.size())));
}

// The least rate that takes the source from one sample to the next, round trips being what they
// are.
double ClockFilter::least_rate(const Sample& from, const Sample& to) const noexcept {
  const double elapsed_s = seconds(to.at - from.at);
  const double grown = to.offset_s - from.offset_s - memory_.rate * elapsed_s;
  const double paths = (std::fabs(from.delay_s) + std::fabs(to.delay_s)) / 2 +
                       3 * (from.precision_s + to.precision_s);
  return (std::fabs(grown) - paths) / elapsed_s;
}

// By how much the frequency is known to be off: that is what of the early samples no round trip
// explains.
double ClockFilter::proven_rate() const noexcept {
  double most = 0;
  for (std::size_t i = 1; i < early_count_; ++i) {
    most = std::max(most, least_rate(early_[i - 1], early_[i]));
  }
  return most;
}

void ClockFilter::start(const Sample& sample) noexcept {
  double rate_sd = kRateSigmaAtStart;
  if (memory_.rate_sd > 0) rate_sd = std::clamp(memory_.rate_sd, 1e-9, rate_sd);
  rate_sd = std::max(rate_sd, std::min(proven_rate(), kFastest));
  const double reach = std::max(std::fabs(sample.delay_s), 1e-9);
  bank_.start(sample.offset_s, reach * reach, memory_.rate, rate_sd * rate_sd);
}

ClockFilter::Excess ClockFilter::excess_of(double delay_s) const noexcept {
  const double queueing = typical_queueing();
  const double least = queueing_.is_known() ? std::min(queueing, queueing_.mean_s()) : queueing;
  // The shortest round trip seen still contains some queueing.
  const double hidden = least * std::sqrt(std::numbers::pi / 2 / shortest_.count());
  return {std::max(delay_s - shortest_.minimum(), 0.0) + hidden + 1e-9, hidden};
}

Measurement ClockFilter::measure(const Sample& sample) const noexcept {
  const auto [excess, hidden] = excess_of(sample.delay_s);
  const double queueing = typical_queueing();
  const double floor = floor_of(sample);
  Measurement m;
  m.offset_s = sample.offset_s;
  m.excess_s = excess;
  m.tilt = queueing_.tilt();
  const Moments u = truncated_exponential(m.excess_s, m.tilt);
  m.corrected_s = sample.offset_s + m.excess_s / 2 - u.mean;
  m.corrected_var = u.variance + floor;
  const double spread = path_.size() < kYoung ? 2 * queueing * queueing : path_.variance();
  const double unusual = std::max(0.0, m.excess_s - 3 * usual_excess_s_);
  m.constant_var = spread / 4 + unusual * unusual / 12 + floor;
  m.edge_var = hidden * hidden / 4 + floor;
  const double share = std::min(1.0, (usual_excess_s_ + hidden) / m.excess_s);
  m.likelihood_weight = share * share * share * share;
  return m;
}

// Queues move an offset by half the round trip at most: what lies further off is a step of the
// source, another path, or nonsense.
bool ClockFilter::is_beyond(const Sample& sample, const BankEstimate& expected,
                            double elapsed_s) noexcept {
  const double innovation = sample.offset_s - expected.offset_s;
  const double limit = std::fabs(sample.delay_s) / 2 +
                       kStepSigmas * std::sqrt(expected.offset_var + wild_var(elapsed_s)) +
                       3 * sample.precision_s;
  if (samples_ < kYoung || std::fabs(innovation) <= limit) {
    beyond_ = 0;
    return false;
  }
  const int side = innovation > 0 ? 1 : -1;
  beyond_ = beyond_ * side > 0 ? beyond_ + side : side;
  if (std::abs(beyond_) == 1) {
    beyond_since_ = sample.at;
    beyond_s_ = innovation;
  }
  return true;
}

// Two samples agree that the phase is another one. If they differ by more than their noise, the
// frequency may be: how much, only the next samples can say.
void ClockFilter::step(const Sample& sample, const BankEstimate& expected) noexcept {
  ++steps_;
  beyond_ = 0;
  early_count_ = kEarly;
  const double innovation = sample.offset_s - expected.offset_s;
  bank_.anchor(innovation, sample.delay_s * sample.delay_s / 12 + kSmallestVar);
  const double grown = innovation - beyond_s_;
  const double noise = path_.variance() / 2 + floor_of(sample);
  const double elapsed_s = seconds(sample.at - beyond_since_);
  if (grown * grown > 9 * noise) bank_.doubt(0, grown * grown / (elapsed_s * elapsed_s));
}

// Queues move an offset by half of the excess at most. What they and the noise leave unexplained is
// a step, of the phase or of the frequency: the next sample tells which.
void ClockFilter::doubt_unexplained(Measurement& m, double elapsed_s) const noexcept {
  const BankEstimate expected = bank_.estimate();
  const double noise = std::sqrt(expected.offset_var + m.constant_var);
  const double unexplained = std::fabs(m.offset_s - expected.offset_s) - m.excess_s / 2;
  if (unexplained <= kStepSigmas * noise) return;
  const double rate = unexplained / elapsed_s;
  m.jump_offset_var = unexplained * unexplained;
  m.jump_rate_var = rate * rate;
}

// The members of the bank have learned how the frequency moves between samples; after a longer time
// it may have moved as it is known to over such times.
void ClockFilter::doubt_idle_time(double elapsed_s) noexcept {
  const double rate_var = rates_.wander() * elapsed_s;
  bank_.doubt(rate_var * elapsed_s * elapsed_s / 3, rate_var);
}

// The median, followed so slowly that half a day of congestion does not become the usual.
void ClockFilter::learn_usual_excess(double delay_s, double elapsed_s) noexcept {
  const double excess = delay_s - shortest_.minimum();
  if (samples_ <= kUsual) {
    usual_excess_s_ = std::max(path_.median() - shortest_.minimum(), 1e-9);
    return;
  }
  const double step = std::min(0.02, elapsed_s / kUsualSpan_s);
  usual_excess_s_ *= excess > usual_excess_s_ ? 1 + step : 1 / (1 + step);
  usual_excess_s_ = std::max(usual_excess_s_, 1e-9);
}

void ClockFilter::learn_queueing(const Sample& sample, const Measurement& m) noexcept {
  if (!queueing_.is_known()) queueing_.start(std::max(typical_queueing(), 1e-9));
  const double e = m.excess_s;
  const double offset_s = bank_.estimate().offset_s;
  const double up = std::clamp(sample.offset_s + e / 2 - offset_s, 0.01 * e, 0.99 * e);
  queueing_.learn(up, e - up, static_cast<double>(samples_));
}

// A packet cannot be faster than its path, so one sample tells. All that was measured on the longer
// route may have been off by half of the difference; that is only admitted when it shows.
void ClockFilter::notice_shorter_route(const Sample& sample,
                                       const BankEstimate& expected) noexcept {
  if (samples_ <= kSettled) return;
  const double queueing = typical_queueing();
  const double shorter = shortest_.minimum() - sample.delay_s;
  if (shorter < 2 * queueing + 3 * sample.precision_s) return;
  const double innovation = sample.offset_s - expected.offset_s;
  // As much as its own queueing may be, but less than if one direction alone had become shorter.
  const double noise = std::min(3 * queueing, shorter / 4);
  if (innovation * innovation > 9 * expected.offset_var + noise * noise) {
    bank_.anchor(0, expected.offset_var + shorter * shorter / 4);
  }
  shortest_.restart(seconds(sample.at - first_), sample.delay_s, 0);
  path_.keep_latest(0);
  raised_ = 0;
}

void ClockFilter::forget_lone_minimum(const Sample& sample) noexcept {
  if (!path_.has_lone_minimum()) return;
  const bool is_shortest = path_.minimum() <= shortest_.minimum();
  path_.forget_minimum();
  if (!is_shortest) return;
  shortest_.restart(seconds(sample.at - first_), path_.minimum(),
                    static_cast<double>(path_.size()));
}

// A longer round trip for good, or a queue that stands for a while? If the offset stayed where it
// was foretold, both directions have changed alike and the new shortest delay is as good as the old
// one. If it moved, one direction has: the old shortest delay goes on to tell how far off the
// samples can be.
void ClockFilter::notice_longer_route(const Sample& sample, const BankEstimate& expected) noexcept {
  if (samples_ <= kSettled) return;
  if (sample.delay_s - shortest_.minimum() < 4 * typical_queueing() + 3 * sample.precision_s) {
    raised_ = 0;
    raised_surprise_s_ = 0;
    return;
  }
  // What was foretold before: the estimate has followed the raised samples since.
  if (raised_++ == 0) before_raise_ = estimate_of(expected, sample.at);
  const Estimate foretold = before_raise_.at_time(sample.at);
  raised_surprise_s_ += sample.offset_s - foretold.offset_s;
  if (raised_ < kRaised || raised_ > path_.size()) return;
  const double n = static_cast<double>(raised_);
  const double longer = path_.latest_minimum(raised_) - shortest_.minimum();
  const double variance =
      foretold.offset_var + path_.latest_variance(raised_) / (4 * n) + kSmallestVar;
  const double moved = std::fabs(raised_surprise_s_ / n);
  const double if_one_way = moved - longer / 2;
  if (moved * moved > 4 * variance) return;
  if (if_one_way * if_one_way - moved * moved < 2 * kLogOdds * variance) return;
  shortest_.restart(seconds(sample.at - first_), path_.latest_minimum(raised_), n);
  path_.keep_latest(raised_);
  raised_ = 0;
  raised_surprise_s_ = 0;
}

// The first samples were judged with little knowledge of the shortest round trip; once there is
// more, they are worth another look. It costs kEarly^2 / 2 updates in all.
void ClockFilter::begin_again() noexcept {
  bank_ = KalmanBank();
  if (memory_.wander > 0) bank_.favour_wander(memory_.wander);
  start(early_[0]);
  for (std::size_t i = 0; i < early_count_; ++i) {
    const double elapsed_s = i > 0 ? seconds(early_[i].at - early_[i - 1].at) : 0;
    bank_.predict(elapsed_s);
    Measurement m = measure(early_[i]);
    if (i >= kFewest) doubt_unexplained(m, elapsed_s);
    bank_.update(m);
  }
}

void ClockFilter::update(const Sample& sample) noexcept {
  if (!is_sane(sample) || (last_ && sample.at <= last_->at)) return;
  // Who follows somebody else now may tell another time, and one who ran faster than any clock was
  // stepped; of a few samples nobody could say which is which.
  if (last_ && samples_ < kYoung &&
      (sample.stratum != last_->stratum || least_rate(*last_, sample) > kFastest)) {
    *this = ClockFilter(memory_);
  }
  if (!last_) {
    first_ = sample.at;
    start(sample);
  }
  const double elapsed_s = last_ ? seconds(sample.at - last_->at) : 0;
  last_ = sample;
  bank_.predict(elapsed_s);
  if (elapsed_s > RateHistory::kSpacing_s) doubt_idle_time(elapsed_s);
  const BankEstimate expected = bank_.estimate();
  if (is_beyond(sample, expected, elapsed_s)) {
    if (std::abs(beyond_) < kStepSamples) return;
    step(sample, expected);
    upstream_error_s_ = 0;
  }
  believed_ = sample;
  ++samples_;
  notice_shorter_route(sample, expected);
  path_.add(sample.delay_s);
  shortest_.add(seconds(sample.at - first_), sample.delay_s);
  forget_lone_minimum(sample);
  notice_longer_route(sample, expected);
  learn_usual_excess(sample.delay_s, elapsed_s);
  Measurement m = measure(sample);
  const double before_var = bank_.estimate().offset_var;
  if (early_count_ < kEarly && early_count_ + 1 == samples_) {
    early_[early_count_++] = sample;
    begin_again();
  } else {
    if (samples_ > kFewest) doubt_unexplained(m, elapsed_s);
    bank_.update(m);
  }
  blend_upstream_error(sample, 1 - bank_.estimate().offset_var / before_var);
  if (samples_ > kYoung) learn_queueing(sample, m);
  if (samples_ <= kSettled) return;
  const BankEstimate after = bank_.estimate();
  rates_.add(seconds(sample.at - first_), after.rate, after.rate_var);
}

// The estimate is a mean of samples, and so is its share in what they were wrong by. Half the gain:
// a filter of offset and rate overshoots.
void ClockFilter::blend_upstream_error(const Sample& sample, double gain) noexcept {
  const double error_s = upstream_error_s(sample);
  const double kept = 1 - std::clamp(gain, 0.0, 1.0) / 2;
  upstream_error_s_ = std::max(error_s, error_s + kept * (upstream_error_s_ - error_s));
}

double ClockFilter::past_error_s() const noexcept {
  return believed_ ? std::max(0.0, upstream_error_s_ - upstream_error_s(*believed_)) : 0;
}

Estimate ClockFilter::estimate(RawTime now) const noexcept {
  const RawTime at = std::max(now, last_->at);
  return estimate_of(bank_.estimate(seconds(at - last_->at)), at).at_time(now);
}

Estimate ClockFilter::estimate_of(const BankEstimate& e, RawTime at) const noexcept {
  const bool is_new = memory_.wander <= 0 && seconds(last_->at - first_) < kWatched_s;
  return {.at = at,
          .offset_s = e.offset_s,
          .rate = e.rate,
          .offset_var = e.offset_var,
          .covariance = e.covariance,
          .rate_var = e.rate_var,
          .wander = std::max({e.wander_upper, rates_.wander(), is_new ? kWildest * kWildest : 0})};
}

double ClockFilter::jitter_s() const noexcept {
  if (empty()) return 0;
  const double usual = excess_of(path_.median()).excess_s;
  return std::sqrt(truncated_exponential(usual, queueing_.tilt()).variance + floor_of(*last_));
}

ClockFilter::Memory ClockFilter::memory() const noexcept {
  if (empty()) return memory_;
  const BankEstimate e = bank_.estimate();
  return {.rate = e.rate, .rate_sd = std::sqrt(e.rate_var), .wander = e.wander};
}

}  // namespace ntp::clock

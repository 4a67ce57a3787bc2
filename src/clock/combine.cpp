#include "clock/combine.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace ntp::clock {
namespace {

// An estimate's error stays alike for about so long: looking at it more often teaches nothing more.
constexpr double kCorrelation_s = 600;
// No deviation is believed to be smaller; keeps weights finite for a perfect source.
constexpr double kLeastVariance = 1e-20;
constexpr double kLeastRateVariance = 1e-30;
// A clock of age A creeps to the mean bias with A / 4.
constexpr double kYouth = 4;

// How much of an estimate's covariance comes from the wander of the base, which all sources see
// alike. In the steady state of the filter for this model (noise density r, wander q, w =
// (q/r)^1/4, gains sqrt(2) w and w^2) the error driven by wander alone has the variance r w /
// sqrt(8) of sqrt(2) r w, the covariance r w^2 / 2 of r w^2, the rate variance 3 r w^3 / sqrt(8) of
// sqrt(2) r w^3. That part does not average over sources.
constexpr double kCommonOffset = 1.0 / 4;
constexpr double kCommonCovariance = 1.0 / 2;
constexpr double kCommonRate = 3.0 / 4;

double approach(double elapsed_s, double constant_s) noexcept {
  return constant_s > 0 ? -std::expm1(-elapsed_s / constant_s) : 1;
}

}  // namespace

struct Combiner::Member {
  std::uint32_t id = 0;
  Estimate here{};  // at now
  double delay_s = 0;
  double distance_s = 0;
  double dispersion_s = 0;  // distance without half the delay
  Bias bias{};
  bool carried = false;  // its bias was known before
  double prior = 0;      // p: by noise and by what asymmetry may hide
  double weight = 0;     // w: by noise alone
  double rate_weight = 0;
};

namespace {

template <typename Members, typename Variance>
void weigh(Members& members, double std::remove_reference_t<decltype(members[0])>::* weight,
           Variance variance) {
  double sum = 0;
  for (auto& m : members) sum += m.*weight = 1 / variance(m);
  for (auto& m : members) m.*weight /= sum;
}

template <typename Members>
double mean_offset(const Members& members) noexcept {
  double sum = 0;
  for (const auto& m : members) sum += m.prior * m.here.offset_s;
  return sum;
}

// Independent errors average, common ones do not (kCommon...).
template <typename Members>
Estimate merged(const Members& members) noexcept {
  Estimate alone;
  Estimate together;
  Estimate out;
  for (const auto& m : members) {
    const Estimate& e = m.here;
    const double w = m.weight;
    const double r = m.rate_weight;
    out.rate += r * e.rate;
    out.wander += r * e.wander;
    alone.offset_var += w * w * e.offset_var;
    alone.covariance += w * r * e.covariance;
    alone.rate_var += r * r * e.rate_var;
    together.offset_var += w * e.offset_var;
    together.covariance += std::sqrt(w * r) * e.covariance;
    together.rate_var += r * e.rate_var;
  }
  const auto mix = [](double share, double common, double own) {
    return share * common + (1 - share) * own;
  };
  out.offset_var = mix(kCommonOffset, together.offset_var, alone.offset_var);
  out.rate_var = mix(kCommonRate, together.rate_var, alone.rate_var);
  const double most = std::sqrt(out.offset_var * out.rate_var);
  out.covariance =
      std::clamp(mix(kCommonCovariance, together.covariance, alone.covariance), -most, most);
  return out;
}

// What is said of the system source, and of the freshest one.
void describe_system(Combined& out, std::span<const Candidate> candidates,
                     const Selection& selection) noexcept {
  const Candidate& system = candidates[selection.system];
  out.system_id = system.id;
  out.stratum = system.stratum;
  out.refid = system.refid;
  out.newest = system.estimate.at;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (!is_used(selection.verdicts[i].standing)) continue;
    out.newest = std::max(out.newest, candidates[i].estimate.at);
  }
}

}  // namespace

double root_dispersion_s(const Combined& combined, RawTime when) noexcept {
  const Estimate then = combined.clock.at_time(when);
  return combined.held_s + kCoverage * std::sqrt(std::max(0.0, then.offset_var));
}

std::vector<Combiner::Member> Combiner::members_of(RawTime now,
                                                   std::span<const Candidate> candidates,
                                                   const Selection& selection) const {
  std::vector<Member> members;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (!is_used(selection.verdicts[i].standing)) continue;
    const Candidate& c = candidates[i];
    Member m{.id = c.id, .here = c.estimate.at_time(now)};
    m.delay_s = std::max(0.0, c.root_delay_s);
    m.distance_s = root_distance_s(m.here, c);
    m.dispersion_s = m.distance_s - m.delay_s / 2;
    for (const Bias& b : biases_) {
      if (b.id != m.id) continue;
      m.bias = b;
      m.carried = last_ && b.used == last_->clock.at;
    }
    members.push_back(m);
  }
  // Sums of floating-point numbers depend on their order; the result must not.
  std::sort(members.begin(), members.end(),
            [](const Member& a, const Member& b) { return a.id < b.id; });
  // Asymmetry and the source's own error may be anywhere within what is not noise: uniform there.
  const auto variance = [](const Member& m) {
    const double hidden_s = m.distance_s - kCoverage * std::sqrt(m.here.offset_var);
    return m.here.offset_var + hidden_s * hidden_s / 3 + kLeastVariance;
  };
  weigh(members, &Member::prior, variance);
  for (Member& m : members) m.bias.weight = 1 / variance(m);
  return members;
}

Combiner::Bias* Combiner::find(std::uint32_t id) noexcept {
  for (Bias& b : biases_) {
    if (b.id == id) return &b;
  }
  return nullptr;
}

// The clock's offset before newcomers are looked at: by the members that were there before; else by
// those that are remembered; else by the prediction, as far as that is better than a fresh start.
double Combiner::carried_offset(std::vector<Member>& members, RawTime now,
                                double anchor_s) noexcept {
  if (!last_) return anchor_s;
  const auto is_carried = [](const Member& m) { return m.carried; };
  if (std::none_of(members.begin(), members.end(), is_carried)) {
    for (Member& m : members) m.carried = find(m.id) != nullptr;
  }
  double sum = 0;
  double weight = 0;
  for (const Member& m : members) {
    if (!m.carried) continue;
    const double w = 1 / (m.here.offset_var + m.bias.variance + kLeastVariance);
    sum += w * (m.here.offset_s - m.bias.bias_s);
    weight += w;
  }
  if (weight > 0) return sum / weight;
  const Estimate predicted = last_->clock.at_time(now);
  double anchor_var = kLeastVariance;
  for (const Member& m : members) {
    anchor_var += m.prior * m.prior * (m.distance_s * m.distance_s / 3);
  }
  const double trust = anchor_var / (anchor_var + predicted.offset_var);
  return anchor_s + trust * (predicted.offset_s - anchor_s);
}

void Combiner::welcome(Member& member, double clock_s, RawTime now) {
  if (Bias* old = find(member.id)) {
    std::swap(*old, biases_.back());
    biases_.pop_back();
  }
  member.bias = {.id = member.id,
                 .bias_s = member.here.offset_s - clock_s,
                 .variance = member.here.offset_var,
                 .weight = member.bias.weight,
                 .used = now};
  biases_.push_back(member.bias);
}

// The longest unused goes; what is in use stays however much that is.
void Combiner::forget_oldest(RawTime now) {
  while (biases_.size() > kMaxBiases) {
    const auto oldest =
        std::min_element(biases_.begin(), biases_.end(), [](const Bias& a, const Bias& b) {
          return a.used != b.used ? a.used < b.used : a.id < b.id;
        });
    if (oldest->used == now) return;
    biases_.erase(oldest);
  }
}

// A Kalman filter of one number for each bias. Its drift is chosen such that the memory comes out
// as kBiasMemory_s however noisy the source is.
void Combiner::learn(std::vector<Member>& members, double clock_s, double elapsed_s) noexcept {
  for (Member& m : members) {
    Bias& b = m.bias;
    const double noise = m.here.offset_var + kLeastVariance;
    b.variance += noise * kCorrelation_s * elapsed_s / (kBiasMemory_s * kBiasMemory_s);
    const double gain = b.variance * elapsed_s / (b.variance * elapsed_s + noise * kCorrelation_s);
    b.bias_s += gain * (m.here.offset_s - clock_s - b.bias_s);
    b.variance *= 1 - gain;
  }
}

// By how much the clock moves towards a mean bias of zero. A source that is away still has its say
// for a while, unless what it said last is out of the question now.
double Combiner::creep(const std::vector<Member>& members, RawTime now, double elapsed_s,
                       double distance_s) const noexcept {
  const double memory_s = std::min(kBiasMemory_s, age_s_ / kYouth);
  double present_s = 0;
  for (const Member& m : members) present_s += m.prior * m.bias.bias_s;
  double sum = 0;
  double weight = 0;
  for (const Member& m : members) {
    sum += m.bias.weight * m.bias.bias_s;
    weight += m.bias.weight;
  }
  for (const Bias& b : biases_) {
    const bool away =
        std::none_of(members.begin(), members.end(), [&](const Member& m) { return m.id == b.id; });
    if (!away || memory_s <= 0 || std::abs(b.bias_s - present_s) > distance_s) continue;
    const double w = b.weight * std::exp(-seconds(now - b.used) / memory_s);
    sum += w * b.bias_s;
    weight += w;
  }
  const double far = distance_s > 0 ? present_s / distance_s : 0;
  return sum / weight * approach(elapsed_s, memory_s / (1 + 4 * far * far));
}

Combined Combiner::combine(RawTime now, std::span<const Candidate> candidates,
                           const Selection& selection) {
  NTP_CHECK(selection.outcome == Outcome::selected);
  std::vector<Member> members = members_of(now, candidates, selection);
  NTP_CHECK(!members.empty());
  const double since_s = last_ ? std::max(0.0, seconds(now - last_->clock.at)) : 0;
  const double anchor_s = mean_offset(members);
  const double start_s = carried_offset(members, now, anchor_s);
  for (Member& m : members) {
    if (!m.carried) welcome(m, start_s, now);
  }
  weigh(members, &Member::weight,
        [](const Member& m) { return m.here.offset_var + m.bias.variance + kLeastVariance; });
  weigh(members, &Member::rate_weight,
        [](const Member& m) { return m.here.rate_var + kLeastRateVariance; });

  Combined out;
  double hold_s = 0;
  double clock_s = 0;
  for (const Member& m : members) {
    clock_s += m.weight * (m.here.offset_s - m.bias.bias_s);
    out.root_delay_s += m.prior * m.delay_s;
    hold_s += m.prior * m.dispersion_s;
  }
  learn(members, clock_s, since_s);
  age_s_ += since_s;
  const double step_s = creep(members, now, since_s, out.root_delay_s / 2 + hold_s);
  clock_s += step_s;
  for (Bias& b : biases_) b.bias_s -= step_s;
  for (const Member& m : members) {
    Bias& b = *find(m.id);
    b = m.bias;
    b.bias_s -= step_s;
    b.used = now;
  }
  forget_oldest(now);

  out.clock = merged(members);
  out.clock.at = now;
  out.clock.offset_s = clock_s;
  out.root_dispersion_s = hold_s + std::abs(clock_s - anchor_s);
  if (selection.agreeing < selection.voters) {
    const Interval& all = selection.possible;
    const double reach_s = std::max(all.high_s - clock_s, clock_s - all.low_s);
    out.root_dispersion_s = std::max(out.root_dispersion_s, reach_s - out.root_delay_s / 2);
  }
  out.held_s = std::max(0.0, out.root_dispersion_s - kCoverage * std::sqrt(out.clock.offset_var));
  const double bound_s = out.root_delay_s / 2 + root_dispersion_s(out, now);
  out.root_dispersion_s = bound_s - out.root_delay_s / 2;
  out.offset = {clock_s - bound_s, clock_s + bound_s};
  out.sources = static_cast<int>(members.size());
  describe_system(out, candidates, selection);
  last_ = out;
  return out;
}

}  // namespace ntp::clock

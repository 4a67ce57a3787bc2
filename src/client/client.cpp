#include "client/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "wire/refid.h"

namespace ntp::client {
namespace {

constexpr std::chrono::seconds kDecisions{1};
// A longer poll is taken while the clock will still be that much better known, when it ends, than
// one sample tells; a shorter one when it will not.
constexpr double kLengthen = 0.3;
constexpr double kShorten = 0.6;
constexpr std::uint64_t kLearned = 16;  // samples before the first lengthening

std::chrono::nanoseconds interval(int poll) noexcept {
  return std::chrono::nanoseconds(std::llround(std::exp2(poll) * 1e9));
}

}  // namespace

Client::Client(const clock::Moment& now, int precision, const clock::ClockFilter::Memory& memory)
    : memory_(memory),
      began_(now),
      discipline_({.at = now.raw, .real = now.host, .rate = 0}, precision),
      decide_at_(now.raw) {
  decide(now);
}

void Client::configure(const ClientSettings& settings, RawTime now, RandomSource& random) {
  policy_ = settings.policy;
  if (policy_.unsynchronised == clock::Unsynchronised::orphan && orphan_id_ == 0) {
    orphan_id_ = server::kRefidOrphans | static_cast<std::uint32_t>(random.next() >> 36);
  }
  policy_.orphan_id = orphan_id_;
  sources_.configure(settings.sources, now, random);
  decide_at_ = now;
}

void Client::on_timer(const clock::Moment& now, RandomSource& random) {
  sources_.on_timer(now.raw, random);
  if (now.raw < decide_at_) return;
  decide_at_ = now.raw + kDecisions;
  decide(now);
}

RawTime Client::next_deadline() const noexcept {
  const auto question = sources_.next_deadline();
  return question ? std::min(*question, decide_at_) : decide_at_;
}

std::optional<Reject> Client::on_datagram(AssociationId from, std::span<const std::byte> datagram,
                                          const Endpoint& address, RawTime at,
                                          const clock::Moment& now) {
  const auto sample = sources_.on_datagram(
      from, {.datagram = datagram, .from = address, .at = at, .base = decision_.base.map});
  if (!sample) return sample.error();
  if (decision_.hold_samples) return std::nullopt;
  clock::ClockFilter& filter = filters_.try_emplace(from, remembered(now)).first->second;
  filter.update(*sample);
  if (filter.is_in_doubt()) sources_.ask_soon(from);
  adapt_poll(from, now.raw);
  decide(now);
  return std::nullopt;
}

// A source may be new after the program has run for months.
clock::ClockFilter::Memory Client::remembered(const clock::Moment& now) const noexcept {
  const auto slept = now.boot_lead - began_.boot_lead;
  return memory_.after(seconds(now.raw - began_.raw + slept));
}

void Client::adapt_poll(AssociationId id, RawTime now) {
  const clock::ClockFilter& filter = filters_.at(id);
  int poll = 0;
  for (const ActiveAssociation& active : sources_.active()) {
    if (active.id == id) poll = active.poll;
  }
  const auto sigma_after = [&](int log2_s) {
    return std::sqrt(filter.estimate(now + interval(log2_s)).offset_var);
  };
  if (sigma_after(poll) > kShorten * filter.jitter_s()) {
    sources_.set_poll(id, poll - 1);
  } else if (filter.samples() >= kLearned &&
             sigma_after(poll + 1) < kLengthen * filter.jitter_s()) {
    sources_.set_poll(id, poll + 1);
  }
}

std::vector<clock::Candidate> Client::candidates(
    std::span<const ActiveAssociation> associations) const {
  std::vector<clock::Candidate> out;
  for (const ActiveAssociation& active : associations) {
    clock::Candidate c{.id = active.id,
                       .refid = wire::refid_of(active.address.address),
                       .reachable = active.reach != 0,
                       .options = {.prefer = active.prefer,
                                   .trust = active.trust,
                                   .noselect = active.noselect,
                                   .require = active.require}};
    if (const auto found = filters_.find(active.id); found != filters_.end()) {
      const clock::ClockFilter& filter = found->second;
      const clock::Sample& last = *filter.believed();
      c.estimate = filter.estimate(filter.last()->at);
      c.root_delay_s = last.root_delay_s + filter.path().recent_delay_s();
      c.root_dispersion_s = last.root_dispersion_s + filter.past_error_s() + last.precision_s;
      c.leap = last.leap;
      c.stratum = last.stratum;
      c.reference = last.refid;
      // Then it is this server itself, asked by an address that NAT gives it.
      c.loop = orphan_id_ != 0 && last.refid == orphan_id_;
      c.held_back = filter.is_held_back();
      c.samples = static_cast<int>(std::min<std::uint64_t>(filter.samples(), 1'000'000));
    }
    if (active.refused == Reject::loop) c.loop = true;
    if (active.refused && says_no_time(*active.refused)) c.leap = wire::Leap::unknown;
    out.push_back(c);
  }
  return out;
}

void Client::decide(const clock::Moment& now) {
  const auto active = sources_.active();
  const auto known = candidates(active);
  std::erase_if(filters_, [&known](const auto& entry) {
    return std::ranges::find(known, entry.first, &clock::Candidate::id) == known.end();
  });
  decision_ = discipline_.update(now, known, policy_, leaps_ ? &*leaps_ : nullptr);
  if (decision_.slept) {
    filters_.clear();
    sources_.start_bursts(now.raw);
  }
  if (decision_.leader) {
    const auto leader = std::ranges::find(active, *decision_.leader, &ActiveAssociation::id);
    decision_.reason =
        fmt::format("following {}: {}", to_string(leader->address), decision_.reason);
  }
  decision_.server.own_clock = true;
  decision_.server.map = decision_.served;
  for (const clock::Verdict& verdict : decision_.verdicts) {
    const bool lies = verdict.standing == clock::Standing::falseticker;
    sources_.set_falseticker(verdict.id, lies, now.raw,
                             lies ? clock::describe(verdict) : std::string());
  }
}

std::vector<Tracked> Client::tracked(RawTime now) const {
  std::vector<Tracked> out;
  for (const SourceReport& source : sources_.report()) {
    for (const AssociationReport& association : source.associations) {
      Tracked t{.source = source.id, .association = association};
      const auto verdict =
          std::ranges::find(decision_.verdicts, association.id, &clock::Verdict::id);
      if (verdict != decision_.verdicts.end()) t.verdict = *verdict;
      if (const auto found = filters_.find(association.id); found != filters_.end()) {
        t.estimate = found->second.estimate(now);
        t.delay_s = found->second.path().recent_delay_s();
        t.jitter_s = found->second.jitter_s();
        t.steps = found->second.steps();
      }
      out.push_back(std::move(t));
    }
  }
  return out;
}

std::optional<clock::ClockFilter::Memory> Client::memory() const {
  if (!decision_.synchronised) return std::nullopt;
  return clock::ClockFilter::Memory{.rate = decision_.clock.rate,
                                    .rate_sd = std::sqrt(decision_.clock.rate_var),
                                    .wander = decision_.clock.wander};
}

}  // namespace ntp::client

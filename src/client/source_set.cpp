#include "client/source_set.h"

#include <algorithm>
#include <utility>

#include "wire/refid.h"

namespace ntp::client {
namespace {

Standing standing_of(const Association& association) {
  const auto& state = association.state();
  if (state.denied) return Standing::denied;
  if (state.unsent > 0) return Standing::offline;
  if (state.reach != 0) return Standing::reachable;
  if (association.nts() != nullptr && !association.nts()->has_keys()) return Standing::keyless;
  if (state.refused) return Standing::refused;
  return association.is_unreachable() ? Standing::unreachable : Standing::starting;
}

std::string letters(std::uint32_t code) {
  std::string text;
  for (int shift = 24; shift >= 0 && code != 0; shift -= 8) {
    text += static_cast<char>(code >> shift & 0xff);
  }
  return text;
}

AssociationReport report_of(const Member& member) {
  const auto& association = member.association;
  const auto& state = association.state();
  return {.id = member.id,
          .address = association.address(),
          .standing = standing_of(association),
          .reach = state.reach,
          .poll = association.poll(),
          .poll_floor = state.poll_floor,
          .sample = state.sample,
          .rejects = association.rejects(),
          .refused = state.refused,
          .kiss = letters(state.kiss),
          .next_question = association.next_question(),
          .questions = state.questions,
          .samples = state.samples,
          .falseticker = member.falseticker_since.has_value(),
          .resolved = member.resolved,
          .nts = association.nts() != nullptr ? std::optional(association.nts()->report())
                                              : std::nullopt};
}

std::string_view standing_of(const Source& source) {
  if (source.members().empty()) {
    if (!source.known().empty()) return "all its addresses are in use";
    if (source.resolve_failures() > 0) return "its name cannot be resolved";
    return "its name is being resolved";
  }
  Standing best = Standing::denied;
  for (const auto& member : source.members()) {
    const auto standing = standing_of(member.association);
    if (standing == Standing::reachable) return describe(standing);
    best = std::min(best, standing);
  }
  return describe(best);
}

}  // namespace

std::string_view describe(Standing standing) noexcept {
  switch (standing) {
    case Standing::starting:
      return "waiting for the first answer";
    case Standing::reachable:
      return "reachable";
    case Standing::refused:
      return "its answers are refused";
    case Standing::keyless:
      return "has no keys yet";
    case Standing::unreachable:
      return "does not answer";
    case Standing::offline:
      return "cannot be sent to";
    case Standing::denied:
      return "denies access";
  }
  return {};
}

std::vector<Endpoint> SourceSet::taken_by_others(const Source& source) const {
  std::vector<Endpoint> taken;
  for (const auto& other : sources_) {
    if (other.id() == source.id()) continue;
    for (const auto& member : other.members()) taken.push_back(member.association.address());
  }
  return taken;
}

Step SourceSet::step_for(std::span<const Endpoint> taken, RawTime now, RandomSource& random) {
  return {.now = now,
          .random = random,
          .taken = taken,
          .own = own_,
          .next_id = next_association_,
          .keys = keys_,
          .saved = saved_,
          .events = events_};
}

void SourceSet::configure(const std::vector<SourceOptions>& options, RawTime now,
                          RandomSource& random) {
  std::vector<Source> before = std::exchange(sources_, {});
  for (const auto& wanted : options) {
    const auto same = std::ranges::find_if(
        before, [&wanted](const Source& source) { return source.options().same_host(wanted); });
    if (same == before.end()) {
      sources_.emplace_back(next_source_++, wanted, now);
      continue;
    }
    same->set_options(wanted);
    sources_.push_back(std::move(*same));
    before.erase(same);
  }
  for (auto& gone : before) {
    Step step = step_for({}, now, random);
    gone.drop_all(step, "the configuration no longer names it");
  }
}

std::vector<Endpoint> own_addresses(std::span<const Endpoint> listen,
                                    std::span<const IpAddress> local) {
  std::vector<Endpoint> own;
  for (const Endpoint& endpoint : listen) {
    own.push_back({.address = endpoint.address, .port = endpoint.port});
    if (!endpoint.address.is_unspecified()) continue;
    for (const IpAddress& address : local) {
      if (address.family != endpoint.address.family) continue;
      own.push_back({.address = address, .port = endpoint.port});
    }
  }
  return own;
}

void SourceSet::set_own(std::vector<Endpoint> served) {
  own_ = std::move(served);
  own_refids_.clear();
  for (const Endpoint& own : own_) {
    const IpAddress& address = own.address;
    // Every machine has these: a server synchronised to itself is not synchronised to us.
    if (address.is_loopback() || address.is_unspecified()) continue;
    own_refids_.push_back(wire::refid_of(address));
  }
}

void SourceSet::on_timer(RawTime now, RandomSource& random) {
  for (auto& source : sources_) {
    const auto taken = taken_by_others(source);
    Step step = step_for(taken, now, random);
    std::vector<Source::Outgoing> out;
    source.on_timer(step, out);
    for (auto& each : out) {
      transmits_.push_back({.association = each.id, .transmit = each.transmit});
    }
    for (Establish& each : source.take_establishments(step)) {
      establishments_.push_back(std::move(each));
    }
    if (source.take_resolution(now)) {
      resolutions_.push_back({.source = source.id(), .name = source.options().host});
    }
  }
}

std::vector<Outgoing> SourceSet::take_transmits() { return std::exchange(transmits_, {}); }

std::vector<Resolve> SourceSet::take_resolutions() { return std::exchange(resolutions_, {}); }

std::vector<Establish> SourceSet::take_establishments() {
  return std::exchange(establishments_, {});
}

void SourceSet::set_keys(SourceKeys keys) {
  keys_ = std::move(keys);
  for (Source& source : sources_) source.set_keys(keys_);
}

std::vector<SavedNts> SourceSet::remember() const {
  std::vector<SavedNts> out = saved_;
  for (const Source& source : sources_) source.remember(out);
  return out;
}

std::vector<Event> SourceSet::take_events() {
  std::vector<Event> events(std::make_move_iterator(events_.begin()),
                            std::make_move_iterator(events_.end()));
  events_.clear();
  return events;
}

std::optional<RawTime> SourceSet::next_deadline() const {
  RawTime earliest = RawTime::max();
  for (const auto& source : sources_) earliest = std::min(earliest, source.next_deadline());
  if (earliest == RawTime::max()) return std::nullopt;
  return earliest;
}

template <typename Act>
void SourceSet::with_source(SourceId id, RawTime now, RandomSource& random, Act act) {
  const auto found = std::ranges::find(sources_, id, &Source::id);
  if (found == sources_.end()) return;  // gone by a reload
  const auto taken = taken_by_others(*found);
  Step step = step_for(taken, now, random);
  act(*found, step);
}

void SourceSet::on_resolved(SourceId source, std::span<const IpAddress> addresses, RawTime now,
                            RandomSource& random) {
  with_source(source, now, random,
              [addresses](Source& found, Step& step) { found.on_resolved(addresses, step); });
}

void SourceSet::on_resolve_failed(SourceId source, RawTime now, RandomSource& random) {
  with_source(source, now, random,
              [](Source& found, Step& step) { found.on_resolve_failed(step); });
}

Member* SourceSet::find(AssociationId id) {
  for (auto& source : sources_) {
    for (auto& member : source.members()) {
      if (member.id == id) return &member;
    }
  }
  return nullptr;
}

SourceId SourceSet::source_of(AssociationId id) const {
  for (const Source& source : sources_) {
    if (std::ranges::find(source.members(), id, &Member::id) != source.members().end()) {
      return source.id();
    }
  }
  return 0;
}

void SourceSet::on_established(AssociationId association, nts::Established established,
                               const std::optional<IpAddress>& server, RawTime now,
                               RandomSource& random) {
  with_source(source_of(association), now, random, [&](Source& found, Step& step) {
    found.on_established(association, std::move(established), server, step);
  });
}

void SourceSet::on_not_established(AssociationId association, nts::NotEstablished failure,
                                   RawTime now, RandomSource& random) {
  with_source(source_of(association), now, random, [&](Source& found, Step& step) {
    found.on_not_established(association, std::move(failure), step);
  });
}

void SourceSet::on_sent(AssociationId association, RawTime t1) {
  if (auto* member = find(association)) member->association.on_sent(t1);
}

void SourceSet::on_send_failed(AssociationId association, SendError error, RawTime now,
                               RandomSource& random) {
  if (auto* member = find(association)) member->association.on_send_failed(error, now, random);
}

std::expected<clock::Sample, Reject> SourceSet::on_datagram(AssociationId association,
                                                            Arrival arrival) {
  auto* member = find(association);
  if (member == nullptr) return std::unexpected(Reject::unexpected);
  arrival.own_refids = own_refids_;
  return member->association.on_datagram(arrival);
}

bool SourceSet::is_open(AssociationId association) const {
  for (const auto& source : sources_) {
    for (const auto& member : source.members()) {
      if (member.id == association) return member.association.state().question.has_value();
    }
  }
  return false;
}

void SourceSet::set_poll(AssociationId association, int log2_s) {
  if (auto* member = find(association)) member->association.set_poll(log2_s);
}

void SourceSet::ask_soon(AssociationId association) {
  if (auto* member = find(association)) member->association.ask_soon();
}

void SourceSet::set_falseticker(AssociationId association, bool falseticker, RawTime now,
                                std::string_view why) {
  for (auto& source : sources_) {
    source.set_falseticker(association, falseticker, why, now, events_);
  }
}

void SourceSet::retry_now(RawTime now) {
  for (auto& source : sources_) source.retry_now(now);
}

void SourceSet::start_bursts(RawTime now) {
  for (auto& source : sources_) {
    for (auto& member : source.members()) member.association.start_burst(now);
  }
}

std::vector<ActiveAssociation> SourceSet::active() const {
  std::vector<ActiveAssociation> all;
  for (const auto& source : sources_) {
    for (const auto& member : source.members()) {
      all.push_back({.id = member.id,
                     .source = source.id(),
                     .address = member.association.address(),
                     .prefer = source.options().prefer,
                     .trust = source.options().trust,
                     .noselect = source.options().noselect,
                     .require = source.options().require,
                     .reach = member.association.state().reach,
                     .poll = member.association.poll(),
                     .refused = member.association.state().refused});
    }
  }
  return all;
}

std::vector<SourceReport> SourceSet::report() const {
  std::vector<SourceReport> reports;
  for (const auto& source : sources_) {
    SourceReport report{.id = source.id(),
                        .options = source.options(),
                        .standing = standing_of(source),
                        .known_addresses = source.known().size(),
                        .resolve_failures = source.resolve_failures(),
                        .next_resolution = source.next_resolution()};
    for (const auto& member : source.members()) report.associations.push_back(report_of(member));
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace ntp::client

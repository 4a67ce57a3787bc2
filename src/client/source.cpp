#include "client/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ntp::client {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

constexpr nanoseconds kFirstRetry = 2s;  // of the resolver
constexpr nanoseconds kLastRetry = 1h;
constexpr nanoseconds kRefresh = 1h;
constexpr nanoseconds kFruitlessRetry = 64s;  // where an answer brought nothing new
constexpr nanoseconds kResolverLimit = 1min;  // then it is not going to answer any more
constexpr nanoseconds kLook = 16s;
constexpr nanoseconds kBarUnreachable = 10min;
constexpr nanoseconds kBarFalseticker = 2h;
constexpr nanoseconds kBarDenied = 24h;
constexpr int kFalsetickerPolls = 8;
constexpr nanoseconds kLieTold = 2s;        // so long it lies before the log says so
constexpr nanoseconds kLieForgotten = 30s;  // on the verge of the majority it may come and go

nanoseconds doubled(nanoseconds first, int times, nanoseconds last) {
  for (int i = 0; i < times && first < last; ++i) first *= 2;
  return std::min(first, last);
}

nanoseconds jittered(nanoseconds interval, double share, RandomSource& random) {
  return interval + nanoseconds(std::llround(static_cast<double>(interval.count()) * share *
                                             unit_fraction(random)));
}

void say(std::deque<Event>& events, Event event) {
  if (events.size() == kMostEvents) events.pop_front();
  events.push_back(std::move(event));
}

void say(Step& step, Event event) { say(step.events, std::move(event)); }

}  // namespace

std::string describe(const Event& event) {
  std::string who = event.name;
  if (event.address && to_string(event.address->address) != event.name) {
    who += fmt::format(" ({})", to_string(*event.address));
  }
  switch (event.kind) {
    case Event::Kind::added:
      return fmt::format("source {} is asked", who);
    case Event::Kind::removed:
      return fmt::format("source {} is no longer asked: {}", who, event.why);
    case Event::Kind::reachable:
      return fmt::format("source {} answers", who);
    case Event::Kind::unreachable:
      if (event.why.empty()) return fmt::format("source {} does not answer", who);
      return fmt::format("source {} gives no good answer: {}", who, event.why);
    case Event::Kind::denied:
      return fmt::format("source {} is no longer asked: {}", who, event.why);
    case Event::Kind::rate_limited:
      return fmt::format("source {} asks for fewer questions", who);
    case Event::Kind::unresolved:
      return fmt::format("the name {} cannot be resolved; it is tried again", who);
    case Event::Kind::resolved:
      return fmt::format("the name {} can be resolved again", who);
    case Event::Kind::crowded:
      return fmt::format(
          "source {} has no address that may be used: another source or this machine has it", who);
    case Event::Kind::lies:
      return fmt::format("source {} is not believed: {}", who, event.why);
    case Event::Kind::agrees:
      return fmt::format("source {} is no longer a falseticker", who);
    case Event::Kind::keys:
      return fmt::format("source {} has keys (NTS): {}", who, event.why);
    case Event::Kind::no_keys:
      return fmt::format("source {} gives no keys (NTS): {}", who, event.why);
  }
  return who;
}

Source::Source(SourceId id, const SourceOptions& options, RawTime now)
    : id_(id), options_(options), resolve_at_(now), look_at_(now) {
  if (const auto address = parse_ip(options.host)) {
    numeric_ = true;
    known_.push_back(*address);
  }
}

std::size_t Source::wanted() const {
  if (options_.mode == SourceMode::server) return 1;
  return static_cast<std::size_t>(std::clamp(options_.max_sources, 1, kMostPoolMembers));
}

bool Source::may_be_asked(const Endpoint& server, const Step& step) {
  const IpAddress& address = server.address;
  if (address.is_multicast() || address.is_unspecified() || address.is_broadcast()) return false;
  const auto is_own = [&](const Endpoint& own) {
    const bool at_all = own.address.is_unspecified() && own.address.family == address.family &&
                        address.is_loopback();
    return own.port == server.port && (at_all || own.address == address);
  };
  if (std::ranges::any_of(step.own, is_own)) return false;
  return std::ranges::find(step.taken, server) == step.taken.end();
}

bool Source::is_usable(const IpAddress& address, const Step& step) const {
  if (!may_be_asked(endpoint_of(address), step)) return false;
  const auto mine = std::ranges::any_of(
      members_, [&address](const Member& member) { return member.resolved == address; });
  if (mine) return false;
  return std::ranges::none_of(barred_, [&](const Barred& barred) {
    return barred.address == address && step.now < barred.until;
  });
}

// A lying server has other addresses of the same host only; a pool has other hosts.
bool Source::is_bad(const Member& member, RawTime now) const {
  if (member.association.state().denied || member.association.is_unreachable()) return true;
  if (options_.mode != SourceMode::pool || !member.falseticker_since) return false;
  const double patience_s = kFalsetickerPolls * std::ldexp(1, member.association.poll());
  return seconds(now - *member.falseticker_since) >= patience_s;
}

std::optional<IpAddress> Source::spare(const Step& step) const {
  const auto found = std::ranges::find_if(
      known_, [&](const IpAddress& address) { return is_usable(address, step); });
  if (found == known_.end()) return std::nullopt;
  return *found;
}

void Source::add(const IpAddress& address, Step& step) {
  const AssociationId id = step.next_id++;
  members_.push_back(
      {.id = id, .association = make_association(endpoint_of(address), step), .resolved = address});
  recall(members_.back(), step);
  say(step, {.kind = Event::Kind::added,
             .source = id_,
             .association = id,
             .name = options_.host,
             .address = members_.back().association.address()});
}

Association Source::make_association(const Endpoint& address, Step& step) const {
  Association association(address, options_.association(), step.now, step.random);
  const auto key = step.keys.find(static_cast<std::uint32_t>(options_.key));
  if (key != step.keys.end()) association.set_key(key->second);
  return association;
}

// Cookies are used once: what is recalled is no longer there for others.
void Source::recall(Member& member, Step& step) {
  if (!options_.nts) return;
  const auto before = std::ranges::find(resting_, member.resolved, &Resting::resolved);
  if (before != resting_.end()) {
    *member.association.nts() = std::move(before->session);
    member.association.on_keys(before->server, step.now);
    resting_.erase(before);
    return;
  }
  const auto found = std::ranges::find_if(step.saved, [&](const SavedNts& saved) {
    return saved.host == options_.host && saved.ke_port == options_.nts_port &&
           saved.resolved == member.resolved && saved.roots == options_.nts_ca;
  });
  if (found == step.saved.end()) return;
  member.association.nts()->recall(std::move(found->memory), step.now);
  if (member.association.nts()->has_keys()) member.association.on_keys(found->server, step.now);
  step.saved.erase(found);
}

void Source::remember(std::vector<SavedNts>& out) const {
  for (const Member& member : members_) {
    const NtsSession* nts = member.association.nts();
    auto memory = nts != nullptr ? nts->memory() : std::nullopt;
    if (!memory) continue;
    out.push_back({.host = options_.host,
                   .ke_port = static_cast<std::uint16_t>(options_.nts_port),
                   .resolved = member.resolved,
                   .server = member.association.address(),
                   .roots = options_.nts_ca,
                   .memory = std::move(*memory)});
  }
}

void Source::set_keys(const SourceKeys& keys) {
  const auto key = keys.find(static_cast<std::uint32_t>(options_.key));
  for (Member& member : members_) {
    member.association.set_key(key == keys.end() ? std::nullopt : std::optional(key->second));
  }
}

std::vector<Establish> Source::take_establishments(Step& step) {
  std::vector<Establish> out;
  for (Member& member : members_) {
    NtsSession* nts = member.association.nts();
    if (nts == nullptr || member.association.state().denied) continue;
    if (!nts->take_establishment(step.now, step.random)) continue;
    out.push_back({.association = member.id,
                   .server = {member.resolved, static_cast<std::uint16_t>(options_.nts_port)},
                   .name = options_.host,
                   .roots = options_.nts_ca});
  }
  return out;
}

// Another server than before has another clock: it is another association.
void Source::move(Member& member, const Endpoint& server, Step& step) const {
  if (member.association.address() == server || member.association.state().samples == 0) return;
  say_removed(member, "the key establishment names another server", step);
  Association fresh = make_association(server, step);
  *fresh.nts() = std::move(*member.association.nts());
  member = {.id = step.next_id++, .association = std::move(fresh), .resolved = member.resolved};
  say(step, {.kind = Event::Kind::added,
             .source = id_,
             .association = member.id,
             .name = options_.host,
             .address = server});
}

void Source::on_established(AssociationId id, nts::Established established,
                            const std::optional<IpAddress>& server, Step& step) {
  const auto member = std::ranges::find(members_, id, &Member::id);
  if (member == members_.end() || member->association.nts() == nullptr) return;
  const Endpoint named{server.value_or(member->resolved), established.port.value_or(options_.port)};
  const bool is_new = named != member->association.address();
  const bool is_ours = std::ranges::any_of(members_, [&](const Member& other) {
    return other.id != id && other.association.address() == named;
  });
  if (is_new && (is_ours || !may_be_asked(named, step))) {
    return on_not_established(
        id,
        {.trouble = nts::KeTrouble::bad_server,
         .why = fmt::format("the server of time that it names, {}, is this machine or is asked "
                            "already",
                            to_string(named))},
        step);
  }
  move(*member, named, step);
  member->association.nts()->on_established(std::move(established), step.now);
  member->association.on_keys(named, step.now);
  member->told_trouble.clear();
  const NtsReport now = member->association.nts()->report();
  say(step, {.kind = Event::Kind::keys,
             .source = id_,
             .association = member->id,
             .name = options_.host,
             .address = named,
             .why = fmt::format("{}, {} cookies", crypto::name(*now.aead), now.cookies)});
}

void Source::on_not_established(AssociationId id, nts::NotEstablished failure, Step& step) {
  const auto member = std::ranges::find(members_, id, &Member::id);
  if (member == members_.end() || member->association.nts() == nullptr) return;
  member->association.nts()->on_failed(std::move(failure), step.now);
  look_after(step);
}

// A line when the reason is another one than before.
void Source::tell_trouble(Member& member, Step& step) const {
  const NtsSession* nts = member.association.nts();
  if (nts == nullptr) return;
  const auto trouble = nts->report().trouble;
  if (!trouble || trouble->why == member.told_trouble) return;
  member.told_trouble = trouble->why;
  say(step, {.kind = Event::Kind::no_keys,
             .source = id_,
             .association = member.id,
             .name = options_.host,
             .address = Endpoint{member.resolved, static_cast<std::uint16_t>(options_.nts_port)},
             .why = trouble->why});
}

void Source::remove(std::size_t index, Step& step) {
  const Member& member = members_[index];
  const bool denied = member.association.state().denied;
  const bool unreachable = !denied && member.association.is_unreachable();
  const auto bar = denied ? kBarDenied : unreachable ? kBarUnreachable : kBarFalseticker;
  const std::string_view why = denied        ? "it denies access, another address is tried"
                               : unreachable ? "it does not answer, another address is tried"
                                             : "it disagrees with the majority";
  barred_.push_back({.address = member.resolved, .until = step.now + bar});
  say_removed(member, why, step);
  if (const NtsSession* nts = member.association.nts()) {
    if (resting_.size() == kMostAddresses) resting_.erase(resting_.begin());
    resting_.push_back(
        {.resolved = member.resolved, .server = member.association.address(), .session = *nts});
  }
  members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(index));
}

void Source::say_removed(const Member& member, std::string_view why, Step& step) const {
  say(step, {.kind = Event::Kind::removed,
             .source = id_,
             .association = member.id,
             .name = options_.host,
             .address = member.association.address(),
             .why = std::string(why)});
}

void Source::drop_all(Step& step, std::string_view why) {
  for (const auto& member : members_) say_removed(member, why, step);
  members_.clear();
}

void Source::note_changes(Member& member, Step& step) {
  const auto& association = member.association;
  Event event{.source = id_,
              .association = member.id,
              .name = options_.host,
              .address = association.address()};
  const bool denied = association.state().denied;
  if (denied && !member.denied_since) {
    member.denied_since = step.now;
    event.kind = Event::Kind::denied;
    event.why =
        describe(association.state().kiss == wire::refid_of("DENY") ? Reject::kiss_deny
                                                                    : Reject::kiss_restrict);
    say(step, event);
  }
  if (association.state().poll_floor > member.floor) {
    member.floor = association.state().poll_floor;
    event.kind = Event::Kind::rate_limited;
    say(step, event);
  }
  tell_trouble(member, step);
  const bool reachable = association.state().reach != 0;
  if (!denied && reachable && !member.was_reachable) {
    member.was_reachable = true;
    member.was_unreachable = false;
    event.kind = Event::Kind::reachable;
    say(step, event);
  }
  if (!denied && association.is_unreachable() && !member.was_unreachable) {
    member.was_unreachable = true;
    member.was_reachable = false;
    event.kind = Event::Kind::unreachable;
    const auto refused = association.state().refused;
    event.why = refused ? describe(*refused) : "";
    const bool has_keys = association.nts() == nullptr || association.nts()->has_keys();
    if (has_keys) say(step, event);  // else it was said why
  }
}

void Source::set_falseticker(AssociationId id, bool falseticker, std::string_view why, RawTime now,
                             std::deque<Event>& events) {
  const auto member = std::ranges::find(members_, id, &Member::id);
  if (member == members_.end()) return;
  const auto tell = [&](Event::Kind kind) {
    member->called_falseticker = kind == Event::Kind::lies;
    say(events, {.kind = kind,
                 .source = id_,
                 .association = id,
                 .name = options_.host,
                 .address = member->association.address(),
                 .why = std::string(why)});
  };
  if (falseticker) {
    member->agrees_since.reset();
    if (!member->falseticker_since) member->falseticker_since = now;
    const bool lasting = now - *member->falseticker_since >= kLieTold;
    if (lasting && !member->called_falseticker) tell(Event::Kind::lies);
    return;
  }
  member->falseticker_since.reset();
  if (!member->called_falseticker) return;
  if (!member->agrees_since) member->agrees_since = now;
  if (now - *member->agrees_since >= kLieForgotten) tell(Event::Kind::agrees);
}

// Takes addresses in their order until enough of them are in use; a member that is no good gives
// way to one that may be.
void Source::fill(std::span<const IpAddress> addresses, Step& step) {
  for (const auto& address : addresses) {
    if (!is_usable(address, step)) continue;
    if (members_.size() >= wanted()) {
      const auto bad = std::ranges::find_if(
          members_, [&](const Member& member) { return is_bad(member, step.now); });
      if (bad == members_.end()) return;
      remove(static_cast<std::size_t>(bad - members_.begin()), step);
    }
    add(address, step);
    fruitless_ = 0;
  }
}

void Source::hurry_resolution(RawTime now) {
  if (numeric_ || resolving_since_ || !answered_) return;
  const RawTime earliest = *answered_ + doubled(kFruitlessRetry, fruitless_, kRefresh);
  resolve_at_ = std::max(now, std::min(resolve_at_, earliest));
}

void Source::look_after(Step& step) {
  look_at_ = step.now + kLook;
  std::erase_if(barred_, [&](const Barred& barred) { return step.now >= barred.until; });
  for (auto& member : members_) note_changes(member, step);
  while (members_.size() > wanted()) {
    say_removed(members_.back(), "max_sources is lower now", step);
    members_.pop_back();
  }
  // A pool's next answer brings other hosts; a server has what is known of it.
  const bool pool = options_.mode == SourceMode::pool && !numeric_;
  if (!pool) fill(known_, step);
  for (auto& member : members_) {
    // After a day it may have changed its mind.
    if (!member.denied_since || step.now - *member.denied_since < kBarDenied) continue;
    member.association = make_association(endpoint_of(member.resolved), step);
    member.denied_since.reset();
    member.was_reachable = member.was_unreachable = false;
    member.floor = kLeastPoll;
  }
  const bool bad =
      std::ranges::any_of(members_, [&](const Member& member) { return is_bad(member, step.now); });
  if (bad || members_.size() < wanted()) hurry_resolution(step.now);
  const bool crowded = members_.empty() && !known_.empty();
  if (crowded && !crowded_) {
    say(step, {.kind = Event::Kind::crowded, .source = id_, .name = options_.host});
  }
  crowded_ = crowded;
}

void Source::on_timer(Step& step, std::vector<Outgoing>& out) {
  if (resolving_since_ && step.now - *resolving_since_ >= kResolverLimit) on_resolve_failed(step);
  for (auto& member : members_) {
    if (auto transmit = member.association.on_timer(step.now, step.random)) {
      out.push_back({.id = member.id, .transmit = *transmit});
    }
  }
  look_after(step);  // a question that is no longer open may have been the last straw
  std::erase_if(out, [this](const Outgoing& each) {
    return std::ranges::find(members_, each.id, &Member::id) == members_.end();
  });
}

std::optional<RawTime> Source::next_resolution() const {
  if (numeric_ || resolving_since_) return std::nullopt;
  return resolve_at_;
}

bool Source::take_resolution(RawTime now) {
  const auto due = next_resolution();
  if (!due || now < *due) return false;
  resolving_since_ = now;
  return true;
}

void Source::on_resolved(std::span<const IpAddress> addresses, Step& step) {
  if (numeric_) return;
  std::vector<IpAddress> fresh;
  for (const auto& address : addresses) {
    const IpAddress plain = unmapped(address);
    if (fresh.size() == kMostAddresses) break;
    if (std::ranges::find(fresh, plain) == fresh.end()) fresh.push_back(plain);
  }
  if (fresh.empty()) {
    on_resolve_failed(step);
    return;
  }
  if (failures_ > 0) {
    say(step, {.kind = Event::Kind::resolved, .source = id_, .name = options_.host});
  }
  failures_ = 0;
  known_ = std::move(fresh);
  resolving_since_.reset();
  answered_ = step.now;
  resolve_at_ = step.now + jittered(kRefresh, 0.1, step.random);
  fruitless_ = std::min(fruitless_ + 1, 16);
  // Of a pool's answer no more than max_sources are ever used, so that no single answer, however
  // long, makes a majority by itself (RELIABILITY A30): the rest of it is never looked at again.
  fill(known_, step);
  look_after(step);
}

void Source::on_resolve_failed(Step& step) {
  if (numeric_) return;
  resolving_since_.reset();
  const auto pause = doubled(kFirstRetry, failures_, kLastRetry);
  resolve_at_ = step.now + jittered(pause, 0.25, step.random);
  failures_ = std::min(failures_ + 1, 16);
  if (failures_ == 1) {
    say(step, {.kind = Event::Kind::unresolved, .source = id_, .name = options_.host});
  }
}

RawTime Source::next_deadline() const {
  RawTime earliest = RawTime::max();
  const auto sooner = [&earliest](std::optional<RawTime> at) {
    if (at) earliest = std::min(earliest, *at);
  };
  sooner(next_resolution());
  if (resolving_since_) sooner(*resolving_since_ + kResolverLimit);
  if (members_.empty() && !known_.empty()) sooner(look_at_);
  for (const auto& member : members_) {
    sooner(member.association.next_deadline());
    const NtsSession* nts = member.association.nts();
    if (nts != nullptr && !member.association.state().denied) sooner(nts->next_deadline());
    if (member.denied_since) {
      sooner(*member.denied_since + kBarDenied);
    } else if (member.association.state().denied) {
      sooner(member.association.state().anchor);  // at once
    }
  }
  return earliest;
}

void Source::set_options(const SourceOptions& options) {
  options_ = options;
  for (auto& member : members_) member.association.set_options(options.association());
}

void Source::retry_now(RawTime now) {
  barred_.clear();
  if (failures_ > 0) resolve_at_ = std::min(resolve_at_, now);
  for (auto& member : members_) {
    if (member.association.is_unreachable()) member.association.start_burst(now);
  }
}

}  // namespace ntp::client

#include "daemon/source_keeper.h"

#include <poll.h>

#include <array>
#include <cerrno>

#include "base/memory.h"
#include "daemon/first_day.h"
#include "os/clocks.h"
#include "os/interfaces.h"

namespace ntp::daemon {
namespace {

constexpr std::chrono::minutes kLook{1};
constexpr std::chrono::hours kSave{1};

clock::Moment moment() {
  const Instant now = os::now();
  return {.raw = now.raw, .host = now.real, .boot_lead = os::boot_lead()};
}

client::SendError send_error(int code) noexcept {
  switch (code) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return client::SendError::unreachable;
    case ECONNREFUSED:
      return client::SendError::refused;
    case EPERM:
    case EACCES:
      return client::SendError::not_permitted;
    default:
      return client::SendError::other;
  }
}

bool is_worth_a_warning(client::Event::Kind kind) noexcept {
  using enum client::Event::Kind;
  return kind == unreachable || kind == denied || kind == rate_limited || kind == unresolved ||
         kind == lies || kind == no_keys;
}

}  // namespace

SourceKeeper::SourceKeeper(os::PollLoop& loop, Log& log, int precision,
                           const TimeSettings& settings, std::function<void()> decided)
    : loop_(loop),
      log_(log),
      decided_(std::move(decided)),
      settings_(settings),
      leap_file_(log),
      state_(settings.state_file, log),
      nts_(settings.nts_file, settings.channel, log),
      client_(moment(), precision, state_.read(os::real_now())),
      resolver_(loop),
      establisher_(loop, log, resolver_, settings.channel,
                   static_cast<std::uint32_t>(random_.next()),
                   [this](client::AssociationId id, nts::Establishment outcome,
                          const std::optional<IpAddress>& server) {
                     on_established(id, std::move(outcome), server);
                   }) {
  client_.sources().recall(nts_.read({.real = os::real_now(), .raw = loop_.now()}));
  timer_ = loop_.add_timer([this](RawTime) { on_timer(); });
  looks_ = loop_.every(kLook, [this](RawTime) { look_around(); });
  saves_ = loop_.every(kSave, [this](RawTime) {
    save();
    save_nts();
    read_leap_seconds();
  });
}

SourceKeeper::~SourceKeeper() {
  if (!within_memory([this] { save(); })) (void)within_memory([this] { save(); });
  (void)within_memory([this] { save_nts(); });
  for (const auto& [id, exchange] : exchanges_) loop_.unwatch(exchange->watch);
  for (const auto timer : {timer_, looks_, saves_}) loop_.remove_timer(timer);
}

void SourceKeeper::configure(const TimeSettings& settings) {
  settings_ = settings;
  look_around();
  read_leap_seconds();
  client_.sources().set_keys(settings.keys);
  client_.configure(settings.client, loop_.now(), random_);
  on_timer();
}

// Which addresses are our own: nobody is to follow himself, not over others either.
void SourceKeeper::look_around() {
  client_.sources().set_own(client::own_addresses(settings_.listen, os::interface_addresses()));
}

// Keys have a date by the best clock that there is: a host's that was wrong dates them once more.
void SourceKeeper::save_nts() {
  const clock::Decision& decision = client_.decision();
  const RawTime now = loop_.now();
  nts_.write(client_.sources().remember(),
             {.real = decision.was_told ? decision.served(now) : os::real_now(), .raw = now});
}

void SourceKeeper::save() { state_.write(client_, loop_.now()); }

void SourceKeeper::read_leap_seconds() {
  client_.set_leap_table(
      leap_file_.read(settings_.leap_file, settings_.leap_file_is_default, os::real_now()));
}

void SourceKeeper::on_timer() {
  client_.on_timer(moment(), random_);
  settle();
}

void SourceKeeper::settle() {
  // One that lacks memory has failed; the others are not to suffer for it.
  for (const client::Outgoing& outgoing : client_.sources().take_transmits()) {
    if (within_memory([&] { send(outgoing); })) continue;
    client_.sources().on_send_failed(outgoing.association, client::SendError::other, loop_.now(),
                                     random_);
  }
  for (const client::Resolve& resolve : client_.sources().take_resolutions()) {
    if (within_memory([&] { look_up(resolve); })) continue;
    client_.sources().on_resolve_failed(resolve.source, loop_.now(), random_);
  }
  for (const client::Establish& wanted : client_.sources().take_establishments()) {
    if (within_memory([&] { establish(wanted); })) continue;
    client_.sources().on_not_established(wanted.association,
                                         {.trouble = nts::KeTrouble::lost, .why = "out of memory"},
                                         loop_.now(), random_);
  }
  for (const client::Event& event : client_.sources().take_events()) {
    if (is_worth_a_warning(event.kind)) {
      log_.warning(describe(event));
    } else {
      log_.info(describe(event));
    }
  }
  std::erase_if(exchanges_, [this](const auto& entry) {
    if (client_.sources().is_open(entry.first)) return false;
    loop_.unwatch(entry.second->watch);
    return true;
  });
  loop_.arm(timer_, client_.next_deadline());
  decided_();
}

void SourceKeeper::look_up(const client::Resolve& resolve) {
  resolver_.ask(resolve.name, [this, id = resolve.source](const os::Resolver::Addresses& found) {
    if (found) {
      client_.sources().on_resolved(id, *found, loop_.now(), random_);
    } else {
      client_.sources().on_resolve_failed(id, loop_.now(), random_);
    }
    settle();
  });
}

// By the served time where there is one. Until then the host's clock may lag behind, but what is
// before this program's first day is certainly wrong; and what lies ahead is not held against a
// certificate. Names and signatures are checked in any case (RFC 8915 section 8.5).
void SourceKeeper::establish(const client::Establish& wanted) {
  const clock::Decision& decision = client_.decision();
  tls::CertificateTimes times;
  if (decision.was_told) {
    times.now = decision.served(loop_.now());
  } else {
    times = {.now = std::max(os::real_now(), kFirstDay),
             .tolerate_early = true,
             .tolerate_expired = settings_.tolerate_expired};
  }
  establisher_.begin(wanted, times);
}

// May be called in the middle of settle(): what it leads to is settled by the timer.
void SourceKeeper::on_established(client::AssociationId id, nts::Establishment outcome,
                                  const std::optional<IpAddress>& server) {
  if (outcome) {
    client_.sources().on_established(id, std::move(*outcome), server, loop_.now(), random_);
    save_nts();
  } else {
    client_.sources().on_not_established(id, std::move(outcome.error()), loop_.now(), random_);
  }
  loop_.arm(timer_, loop_.now());
}

void SourceKeeper::send(const client::Outgoing& outgoing) {
  const auto id = outgoing.association;
  const auto failed = [&](int code) {
    client_.sources().on_send_failed(id, send_error(code), loop_.now(), random_);
  };
  close(id);
  auto socket = os::ClientSocket::open(outgoing.transmit.to);
  if (!socket) return failed(socket.error().code);
  const auto sent = socket->send(outgoing.transmit.bytes);
  if (!sent) return failed(sent.error().code);
  client_.sources().on_sent(id, sent->raw);
  auto exchange = std::make_unique<Exchange>(std::move(*socket));
  exchange->server = outgoing.transmit.to;
  exchange->watch = loop_.watch(exchange->socket.fd(), POLLIN, [this, id](short) { on_ready(id); });
  exchanges_[id] = std::move(exchange);
}

void SourceKeeper::on_ready(client::AssociationId id) {
  const auto found = exchanges_.find(id);
  if (found == exchanges_.end()) return;
  std::array<std::byte, 1500> buffer;
  const auto received = found->second->socket.receive(buffer);
  if (!received) {
    // Anybody can forge an ICMP error: the question stays open until its time is over.
    if (received.error().code != EAGAIN) log_.debug(received.error().text());
    return;
  }
  (void)client_.on_datagram(id, std::span(buffer).first(received->size), found->second->server,
                            received->at.raw, moment());
  settle();
}

void SourceKeeper::close(client::AssociationId id) {
  const auto found = exchanges_.find(id);
  if (found == exchanges_.end()) return;
  loop_.unwatch(found->second->watch);
  exchanges_.erase(found);
}

}  // namespace ntp::daemon

#include "daemon/key_establisher.h"

#include <fmt/format.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ntp::daemon {
namespace {

constexpr int kMostMessages = 64;  // in a turn: a process that has gone mad must not keep us busy

}  // namespace

KeyEstablisher::KeyEstablisher(os::PollLoop& loop, Log& log, os::Resolver& resolver,
                               KeyChannel channel, std::uint32_t first_number, Done done)
    : loop_(loop),
      log_(log),
      resolver_(resolver),
      channel_(std::move(channel)),
      done_(std::move(done)),
      next_number_(first_number) {
  if (channel_.fd < 0) return;
  watch_ = loop_.watch(channel_.fd, POLLIN, [this](short) { collect(); });
  watching_ = true;
}

KeyEstablisher::~KeyEstablisher() {
  if (watching_) loop_.unwatch(watch_);
}

std::optional<control::KeProcess> KeyEstablisher::process() const {
  return channel_.process ? std::optional(*channel_.process) : std::nullopt;
}

void KeyEstablisher::begin(const client::Establish& wanted, const tls::CertificateTimes& times) {
  const auto roots = std::ranges::find(channel_.roots, wanted.roots);
  if (!watching_ || roots == channel_.roots.end()) {
    return fail(wanted.association, nts::KeTrouble::lost,
                "there is no process that could establish keys; restart the server");
  }
  const std::uint32_t number = next_number_++;
  const ke::Wish wish{.number = number,
                      .server = wanted.server,
                      .name = wanted.name,
                      .roots = static_cast<std::uint16_t>(roots - channel_.roots.begin()),
                      .times = times};
  const auto bytes = ke::encode_client(wish);
  if (::send(channel_.fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    return fail(wanted.association, nts::KeTrouble::lost,
                "the process that establishes keys does not listen");
  }
  open_[number] = wanted.association;
}

void KeyEstablisher::collect() {
  ke::ClientMessageBytes bytes;
  for (int i = 0; i < kMostMessages; ++i) {
    const ssize_t size = ::recv(channel_.fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size <= 0) {
      loop_.unwatch(watch_);
      watching_ = channel_.process->up = false;
      log_.error(
          "NTS: the keeper of key establishment is gone; restart the server to have it again");
      return lose_all("its keeper is gone");
    }
    const auto octets =
        std::span(bytes).first(std::min(static_cast<std::size_t>(size), bytes.size()));
    if (octets.size() == ke::kMessageSize) {
      if (const auto message = ke::decode(octets)) take(*message);
    } else if (const auto message = ke::decode_client(octets)) {
      if (const auto* answered = std::get_if<ke::Answered>(&*message)) take(*answered);
    }
  }
  ::explicit_bzero(bytes.data(), bytes.size());
}

void KeyEstablisher::take(const ke::Message& message) {
  ke::note(*channel_.process, message);
  if (std::holds_alternative<ke::Ended>(message)) return lose_all("it ended");
  const auto* told = std::get_if<ke::Told>(&message);
  if (told == nullptr || !lines_.ask(loop_.now()).granted) return;
  if (told->level == ke::Told::Level::error) return log_.error(told->text);
  if (told->level == ke::Told::Level::warning) return log_.warning(told->text);
  log_.info(told->text);
}

void KeyEstablisher::take(const ke::Answered& answered) {
  channel_.process->up = true;  // its first word may have been lost
  const auto found = open_.find(answered.number);
  if (found == open_.end()) return;  // of a source that is gone
  const client::AssociationId id = found->second;
  open_.erase(found);
  if (!answered.outcome) return done_(id, answered.outcome, std::nullopt);
  find_server(id, *answered.outcome);
}

// Of a name that another machine chose: it goes to the resolver, and nowhere else.
void KeyEstablisher::find_server(client::AssociationId id, nts::Established established) {
  const std::string name = established.server;
  if (name.empty()) return done_(id, std::move(established), std::nullopt);
  if (const auto address = parse_ip(name)) return done_(id, std::move(established), address);
  resolver_.ask(name, [this, id, name,
                       established = std::move(established)](const os::Resolver::Addresses& found) {
    if (found && !found->empty()) return done_(id, established, unmapped(found->front()));
    fail(id, nts::KeTrouble::bad_server,
         fmt::format("the server of time that it names, {}, cannot be resolved", name));
  });
}

void KeyEstablisher::fail(client::AssociationId id, nts::KeTrouble trouble, std::string why) {
  done_(id, std::unexpected(nts::NotEstablished{.trouble = trouble, .why = std::move(why)}),
        std::nullopt);
}

void KeyEstablisher::lose_all(const std::string& why) {
  for (const auto& [number, id] : std::exchange(open_, {})) {
    fail(id, nts::KeTrouble::lost, "the process that establishes keys did not answer: " + why);
  }
}

}  // namespace ntp::daemon

#include "ke/client.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "ke/message.h"
#include "os/clocks.h"
#include "os/error.h"
#include "os/sockaddr.h"

namespace ntp::ke {
namespace {

using nts::KeTrouble;

constexpr int kIdleTurn_ms = 10'000;
constexpr int kMostMessages = 64;  // in a turn

}  // namespace

Talk::Talk(const Wish& wish, const tls::ClientContext& context, RawTime now)
    : number_(wish.number),
      begun_(now),
      server_(to_string(wish.server)),
      session_(context, wish.name, wish.times) {
  if (!connect(wish.server)) {
    fail(KeTrouble::unreachable,
         os::Error{fmt::format("connect to TCP {}", server_), errno}.text());
  }
}

bool Talk::connect(const Endpoint& server) {
  fd_ = os::Fd(::socket(server.address.is_v4() ? AF_INET : AF_INET6,
                        SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!fd_) return false;
  constexpr int kOn = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof kOn);
  const os::SocketAddress address(server);
  return ::connect(fd_.get(), address.get(), address.size()) == 0 || errno == EINPROGRESS;
}

short Talk::events() const noexcept {
  const bool writes = !connected_ || !session_.pending().empty();
  return static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN);
}

void Talk::proceed(RawTime now) {
  if (outcome_) return;
  if (now >= deadline()) {
    return fail(KeTrouble::too_slow,
                fmt::format("{} has not finished within {} s", server_, kClientDeadline.count()));
  }
  if (!connected_) finish_connect();
  if (!connected_ || outcome_) return;
  send();
  if (!outcome_) receive();
  if (!outcome_) send();
  if (!outcome_ || session_.pending().empty()) return;
  // The last word, close_notify or the alert that says why, if it goes at once.
  (void)!::send(fd_.get(), session_.pending().data(), session_.pending().size(), MSG_NOSIGNAL);
}

void Talk::finish_connect() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    return fail(KeTrouble::unreachable,
                os::Error{fmt::format("connect to TCP {}", server_), error}.text());
  }
  sockaddr_storage peer{};
  size = sizeof peer;
  connected_ = ::getpeername(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

void Talk::send() {
  while (!session_.pending().empty()) {
    const auto octets = session_.pending();
    const ssize_t size = ::send(fd_.get(), octets.data(), octets.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    // What it has said may still explain why it no longer listens.
    if (size <= 0) return receive();
    session_.sent(static_cast<std::size_t>(size));
  }
}

void Talk::receive() {
  std::array<std::byte, 4096> buffer;
  while (!session_.outcome()) {
    const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
      session_.hear_end();
      break;
    }
    octets_ += static_cast<std::size_t>(size);
    if (octets_ > kMostFromServer) {
      return fail(KeTrouble::bad_answer, fmt::format("{} does not stop talking", server_));
    }
    session_.feed(std::span(buffer).first(static_cast<std::size_t>(size)));
  }
  if (session_.outcome()) outcome_ = session_.outcome();
}

void Talk::fail(KeTrouble trouble, const std::string& why) {
  outcome_ = std::unexpected(nts::NotEstablished{.trouble = trouble, .why = why});
}

Client::Client(const ClientPlan& plan, int channel) : channel_(channel) {
  for (const std::string& file : plan.roots) roots_.push_back({.file = file});
}

bool Client::prepare() {
  for (Roots& roots : roots_) look_at(roots);
  const auto bytes = encode(Started{});
  ::send(channel_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return true;
}

void Client::run() {
  while (!stopping_) take_turn();
}

void Client::take_turn() {
  std::vector<pollfd> watched{{.fd = channel_, .events = POLLIN, .revents = 0}};
  RawTime now = os::raw_now();
  auto wait = std::chrono::milliseconds(kIdleTurn_ms);
  for (const auto& talk : talks_) {
    watched.push_back({.fd = talk->fd(), .events = talk->events(), .revents = 0});
    wait = std::min(wait, std::chrono::ceil<std::chrono::milliseconds>(talk->deadline() - now));
  }
  ::poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(wait.count(), 0)));
  now = os::raw_now();
  for (std::size_t i = 0; i < talks_.size(); ++i) {
    if (watched[i + 1].revents != 0 || now >= talks_[i]->deadline()) talks_[i]->proceed(now);
  }
  for (const auto& talk : talks_) {
    if (talk->outcome()) answer(talk->number(), *talk->outcome());
  }
  std::erase_if(talks_, [](const auto& talk) { return talk->outcome().has_value(); });
  if (watched.front().revents != 0) read_channel();
  begin_talks();
}

void Client::read_channel() {
  ClientMessageBytes bytes;
  for (int i = 0; i < kMostMessages; ++i) {
    const ssize_t size = ::recv(channel_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) {
      stopping_ = true;
      return;
    }
    if (static_cast<std::size_t>(size) != bytes.size()) continue;
    const auto message = decode_client(bytes);
    const auto* wish = message ? std::get_if<Wish>(&*message) : nullptr;
    if (wish == nullptr) continue;
    if (wishes_.size() < kMostWishes) {
      wishes_.push_back(*wish);
    } else {
      answer(wish->number, std::unexpected(nts::NotEstablished{.trouble = KeTrouble::lost,
                                                               .why = "too many at a time"}));
    }
  }
}

void Client::begin_talks() {
  while (talks_.size() < kMostTalks && !wishes_.empty()) {
    const Wish wish = std::move(wishes_.front());
    wishes_.pop_front();
    begin(wish);
  }
}

void Client::begin(const Wish& wish) {
  if (wish.roots >= roots_.size()) return;  // not of our making
  Roots& roots = roots_[wish.roots];
  look_at(roots);
  if (!roots.context) {
    return answer(wish.number, std::unexpected(nts::NotEstablished{.trouble = KeTrouble::no_roots,
                                                                   .why = roots.problem}));
  }
  auto talk = std::make_unique<Talk>(wish, *roots.context, os::raw_now());
  if (talk->outcome()) return answer(wish.number, *talk->outcome());
  talks_.push_back(std::move(talk));
}

// Read again when the file is another one. What was good stays in force until something better is
// there.
void Client::look_at(Roots& roots) {
  const auto files = roots.file.empty() ? tls::system_root_files() : std::vector{roots.file};
  os::FileMark mark{};
  for (const std::string& file : files) {
    mark = os::file_mark(file);
    if (mark != os::FileMark{}) break;
  }
  if (roots.context && mark == roots.mark) return;
  auto loaded = tls::ClientContext::load(roots.file, nts::kKeAlpn);
  if (!loaded) {
    roots.problem = loaded.error();
    return;
  }
  roots.mark = mark;
  roots.context = std::move(*loaded);
}

void Client::answer(std::uint32_t number, nts::Establishment outcome) {
  auto bytes = encode_client(Answered{.number = number, .outcome = std::move(outcome)});
  ::send(channel_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  ::explicit_bzero(bytes.data(), bytes.size());
}

}  // namespace ntp::ke

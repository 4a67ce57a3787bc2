#include "http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <tuple>
#include <utility>

namespace ntp::http {
namespace {

// Few enough that a flood of connections leaves the loop's other guests their turns, and that
// those accepted in one turn can never push each other out.
constexpr int kAcceptsPerTurn = 8;
// Out of descriptors: the listening socket stays readable, so it is left alone for a while.
constexpr std::chrono::milliseconds kAcceptPause{250};
// What a client may still send after our last word before it is cut off.
constexpr std::size_t kMaxDiscard = 65'536;

bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

Server::Server(os::PollLoop& loop, os::Fd listener, Routes routes, Options options)
    : loop_(loop),
      listener_(std::move(listener)),
      routes_(std::move(routes)),
      options_(std::move(options)) {
  connections_.reserve(options_.limits.connections + 1);
  accepting_ = loop_.watch(listener_.get(), POLLIN, [this](short) {
    accept_some();
    settle();
  });
  timer_ = loop_.add_timer([this](RawTime now) {
    on_timer(now);
    settle();
  });
  resume_ = loop_.add_timer([this](RawTime) { loop_.set_events(accepting_, POLLIN); });
}

Server::~Server() {
  for (const auto& connection : connections_) close(*connection);
  loop_.unwatch(accepting_);
  loop_.remove_timer(timer_);
  loop_.remove_timer(resume_);
}

void Server::accept_some() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    os::Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      add(std::move(fd));
      continue;
    }
    const int error = errno;
    if (would_block(error)) return;
    // Trouble of that one connection, which accept(2) passes on.
    constexpr std::array kPassing = {EINTR,        ECONNABORTED, EPROTO,      EPERM,
                                     ENETDOWN,     ENOPROTOOPT,  EHOSTDOWN,   ENONET,
                                     EHOSTUNREACH, EOPNOTSUPP,   ENETUNREACH, ETIMEDOUT};
    if (std::ranges::find(kPassing, error) != kPassing.end()) continue;
    // accept(2) looks for a free descriptor before it looks whether anybody waits: only the first
    // call of a turn, after poll(2) promised somebody, tells that a client has to wait for one.
    if (i > 0) return;
    ++activity_.refused;
    evict_one();
    pause_accepting();
    return;
  }
}

void Server::pause_accepting() {
  loop_.set_events(accepting_, 0);
  loop_.arm(resume_, loop_.now() + kAcceptPause);
}

void Server::add(os::Fd fd) {
  if (open_ >= options_.limits.connections) evict_one();
  constexpr int kOn = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof kOn);
  connections_.push_back(std::make_unique<Connection>());
  ++open_;
  Connection& connection = *connections_.back();
  connection.fd = std::move(fd);
  connection.since = loop_.now();
  connection.deadline = connection.since + options_.limits.request;
  connection.watch = loop_.watch(connection.fd.get(), POLLIN, [this, &connection](short) {
    on_ready(connection);
    settle();
  });
  ++activity_.connections;
  receive(connection);  // most clients have sent their request already
}

// The oldest of those that are served and only hold a place, else the oldest of all: so neither
// idlers nor slow writers or readers can keep a new client out.
void Server::evict_one() {
  const auto order = [](const auto& connection) {
    const bool served = connection->phase == Phase::idle || connection->phase == Phase::lingering;
    return std::tuple(connection->phase == Phase::closed, !served, connection->since);
  };
  const auto oldest = std::ranges::min_element(connections_, {}, order);
  if (oldest == connections_.end() || (*oldest)->phase == Phase::closed) return;
  ++activity_.evicted;
  close(**oldest);
}

void Server::on_ready(Connection& connection) {
  switch (connection.phase) {
    case Phase::idle:
    case Phase::reading:
      return receive(connection);
    case Phase::writing:
      return flush(connection);
    case Phase::lingering:
      return discard(connection);
    case Phase::pending:  // asked for nothing: this can only be the connection's end
      return close(connection);
    case Phase::closed:
      return;
  }
}

void Server::receive(Connection& connection) {
  std::array<char, kMaxHead> buffer;
  const std::size_t room = kMaxHead - connection.in.size();
  const ssize_t size = ::recv(connection.fd.get(), buffer.data(), room, 0);
  if (size < 0 && (would_block(errno) || errno == EINTR)) return;
  if (size <= 0) return close(connection);
  if (connection.phase == Phase::idle) {
    connection.phase = Phase::reading;
    connection.since = loop_.now();
    connection.deadline = connection.since + options_.limits.request;
  }
  connection.in.append(buffer.data(), static_cast<std::size_t>(size));
  serve(connection);
}

void Server::serve(Connection& connection) {
  const auto parsed = parse_request(connection.in);
  if (!parsed) {
    connection.last = true;
    return respond(connection, error_page(parsed.error()), false);
  }
  if (!*parsed) {
    connection.phase = Phase::reading;
    loop_.set_events(connection.watch, POLLIN);
    return;
  }
  const Request& request = **parsed;
  connection.last = !request.keep_alive || connection.responses + 1 >= options_.limits.requests;
  const auto route = routes_.find(request.path);
  const auto response =
      route == routes_.end() ? error_page(Status::not_found) : route->second(request);
  const bool head_only = request.head_only;
  connection.in.erase(0, request.size);  // what `request` points to is gone from here on
  respond(connection, response, head_only);
}

void Server::respond(Connection& connection, const Response& response, bool head_only) {
  ++connection.responses;
  ++activity_.responses;
  connection.out =
      encode_response(response, {.head_only = head_only,
                                 .keep_alive = !connection.last,
                                 .date = options_.date ? options_.date() : std::nullopt});
  connection.sent = 0;
  connection.phase = Phase::writing;
  flush(connection);
}

void Server::flush(Connection& connection) {
  while (connection.sent < connection.out.size()) {
    const ssize_t size = ::send(connection.fd.get(), connection.out.data() + connection.sent,
                                connection.out.size() - connection.sent, MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && would_block(errno)) return loop_.set_events(connection.watch, POLLOUT);
    if (size <= 0) return close(connection);
    connection.sent += static_cast<std::size_t>(size);
  }
  finish_response(connection);
}

void Server::finish_response(Connection& connection) {
  connection.out.clear();
  const RawTime now = loop_.now();
  connection.since = now;
  if (connection.last) {
    // Closing with unread octets in the queue would make the kernel reset the connection, and the
    // client could lose the answer that says why.
    ::shutdown(connection.fd.get(), SHUT_WR);
    connection.phase = Phase::lingering;
    connection.deadline = now + options_.limits.linger;
    return loop_.set_events(connection.watch, POLLIN);
  }
  const bool more = !connection.in.empty();
  connection.phase = more ? Phase::pending : Phase::idle;
  connection.deadline = now + (more ? options_.limits.request : options_.limits.idle);
  loop_.set_events(connection.watch, more ? short{0} : short{POLLIN});
}

void Server::discard(Connection& connection) {
  std::array<char, kMaxHead> buffer;
  const ssize_t size = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
  if (size < 0 && (would_block(errno) || errno == EINTR)) return;
  if (size <= 0) return close(connection);
  connection.discarded += static_cast<std::size_t>(size);
  if (connection.discarded > kMaxDiscard) close(connection);
}

void Server::expire(Connection& connection) {
  const bool unfinished = connection.phase == Phase::reading && !connection.in.empty();
  const bool stuck = unfinished || connection.phase == Phase::writing;
  if (stuck) ++activity_.timed_out;
  if (!unfinished) return close(connection);
  connection.last = true;
  respond(connection, error_page(Status::request_timeout), false);
  // One try is enough for somebody who did not keep to the time.
  if (connection.phase == Phase::writing) close(connection);
}

void Server::close(Connection& connection) noexcept {
  if (connection.phase == Phase::closed) return;
  loop_.unwatch(connection.watch);
  connection.fd.reset();
  connection.phase = Phase::closed;
  --open_;
}

void Server::on_timer(RawTime now) {
  // Nothing here adds a connection, so the vector stays as it is.
  for (const auto& connection : connections_) {
    if (connection->phase == Phase::closed) continue;
    if (connection->deadline <= now) {
      expire(*connection);
    } else if (connection->phase == Phase::pending) {
      serve(*connection);
    }
  }
}

// Ends every callback: drops what was closed and sets the one timer to whatever comes next.
void Server::settle() {
  std::erase_if(connections_, [](const auto& c) { return c->phase == Phase::closed; });
  loop_.disarm(timer_);
  if (connections_.empty()) return;
  RawTime next = RawTime::max();
  for (const auto& connection : connections_) {
    next = std::min(next, connection->phase == Phase::pending ? loop_.now() : connection->deadline);
  }
  loop_.arm(timer_, next);
}

}  // namespace ntp::http

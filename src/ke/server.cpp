#include "ke/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "os/clocks.h"
#include "os/error.h"
#include "os/random.h"
#include "os/sockaddr.h"

namespace ntp::ke {
namespace {

using control::KeOutcome;
using std::chrono::milliseconds;

constexpr std::uint64_t kChannel = 0;
constexpr Door::Id kFirstConnection = 1000;  // what is below are the channel and the listeners
constexpr int kBacklog = 4096;
constexpr int kMostAccepted = 64;  // in a row, before those that are in are served
constexpr int kMostEvents = 64;
constexpr milliseconds kTick{250};
constexpr std::chrono::seconds kLookAtFiles{1};
constexpr milliseconds kPause{100};
constexpr std::size_t kDescriptorsForOthers = 12;  // files, epoll, channel, standard streams
constexpr std::size_t kRecordHead = 5;
constexpr std::size_t kLargestRecord = kRecordHead + (1 << 14) + 256;  // RFC 8446 section 5.2

// As many connections as there are descriptors for.
DoorLimits limits(std::size_t listeners) {
  DoorLimits limits;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return limits;
  const rlimit all{.rlim_cur = files.rlim_max, .rlim_max = files.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &all) == 0) files = all;
  const std::size_t taken = kDescriptorsForOthers + listeners;
  const std::size_t most = files.rlim_cur > taken ? files.rlim_cur - taken : 1;
  limits.total = std::min(limits.total, most);
  return limits;
}

// Whether what has come of the first record is all of it. What is no TLS record is complete as it
// is: OpenSSL then says what is wrong.
bool is_complete(std::span<const std::byte> first) {
  constexpr auto kHandshake = std::byte{22};
  if (first.empty()) return false;
  if (first[0] != kHandshake) return true;
  if (first.size() < kRecordHead) return false;
  const std::size_t size = kRecordHead + (std::to_integer<std::size_t>(first[3]) << 8) +
                           std::to_integer<std::size_t>(first[4]);
  return first.size() >= size || size > kLargestRecord;
}

// Here, after the fork: no two processes may ever make the same octets.
crypto::RandomStream::Seed random_seed() {
  os::KernelRandom kernel;
  crypto::RandomStream::Seed seed;
  for (std::size_t i = 0; i < seed.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t value = kernel.next();
    std::memcpy(seed.data() + i, &value, sizeof value);
  }
  return seed;
}

}  // namespace

Server::Server(const Plan& plan, int channel)
    : listeners_(plan.listeners),
      channel_(channel),
      files_(plan.certificate, plan.key),
      mint_(random_seed()),
      door_(limits(plan.listeners.size())),
      last_id_(kFirstConnection) {
  mint_.ntp_port = plan.ntp_port;
}

bool Server::prepare() {
  epoll_ = os::Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return false;
  now_ = os::raw_now();
  if (!watch(channel_, kChannel, EPOLLIN, EPOLL_CTL_ADD)) return false;
  tell(Started{});
  look_at_files(true);
  return true;
}

void Server::run() {
  while (!(stopping_ && (connections_.empty() || now_ >= stop_at_))) {
    take_turn(connections_.empty() && !paused_ ? milliseconds(kLookAtFiles) : kTick);
  }
  report();
}

bool Server::watch(int fd, std::uint64_t id, std::uint32_t events, int how) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  return ::epoll_ctl(epoll_.get(), how, fd, &event) == 0 || errno == EEXIST;
}

void Server::take_turn(milliseconds longest) {
  std::array<epoll_event, kMostEvents> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), kMostEvents,
                                 static_cast<int>(paused_ ? kPause.count() : longest.count()));
  now_ = os::raw_now();
  for (int i = 0; i < count; ++i) {
    const std::uint64_t id = events[static_cast<std::size_t>(i)].data.u64;
    if (id == kChannel) {
      read_channel();
    } else if (id < kFirstConnection) {
      accept_some(listeners_[id - 1]);
    } else {
      serve(id, events[static_cast<std::size_t>(i)].events);
    }
  }
  look_at_clocks();
}

// Not before there is a certificate to show and a key for the cookies. What fails is tried again
// with the next look at the files.
void Server::listen_when_ready() {
  if (listening_ || stopping_ || files_.context() == nullptr || !mint_.sealer) return;
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    if (::listen(listeners_[i], kBacklog) == 0 &&
        watch(listeners_[i], i + 1, EPOLLIN, EPOLL_CTL_ADD)) {
      continue;
    }
    const std::string why = os::Error::last("NTS: listen for connections").text();
    if (std::exchange(deaf_, why) != why) tell(Told{.level = Told::Level::error, .text = why});
    return;
  }
  listening_ = true;
}

void Server::accept_some(int listener) {
  for (int i = 0; i < kMostAccepted && !paused_; ++i) {
    if (!accept_one(listener)) return;
  }
}

bool Server::accept_one(int listener) {
  os::SocketAddress address;
  os::Fd fd(
      ::accept4(listener, address.get(), address.size_for_kernel(), SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    if (errno == EINTR || errno == ECONNABORTED) return true;
    if (errno == EAGAIN) return false;
    const bool is_want = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    ++counters_.accept_errors;
    if (is_want && make_room()) return true;
    // Somebody else has used up what there is, or it is the network's error (accept(2)), of which
    // no guest is the cause. The connection waits in the queue, and we do not spin.
    paused_ = true;
    paused_until_ = now_ + kPause;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      watch(listeners_[i], i + 1, 0, EPOLL_CTL_MOD);
    }
    return false;
  }
  const IpAddress client = address.endpoint().address;
  while (const auto other = door_.crowded_by(client)) end(*other, KeOutcome::evicted);
  ++counters_.accepted;
  const Id id = ++last_id_;
  door_.enter(id, client, now_);
  const int number = fd.get();
  connections_.emplace(id, Connection{.fd = std::move(fd), .entered = now_, .heard = now_});
  if (!watch(number, id, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD)) {
    end(id, KeOutcome::broken_off);
    return true;
  }
  serve(id, EPOLLIN);  // what it wanted to say is often there already
  return true;
}

bool Server::make_room() {
  const auto other = door_.idlest();
  if (other) end(*other, KeOutcome::evicted);
  return other.has_value();
}

void Server::serve(Id id, std::uint32_t events) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;  // made room in this very turn
  Connection& connection = found->second;
  if ((events & EPOLLERR) != 0) return end(id, KeOutcome::broken_off);
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0 && !receive(id, connection)) return;
  if (connection.session) send(id, connection);
}

// False: the connection is gone.
bool Server::receive(Id id, Connection& connection) {
  std::array<std::byte, 4096> buffer;
  for (int i = 0; i < 8; ++i) {
    const ssize_t size = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return true;
    if (size <= 0) return hear_out(id, connection, size == 0);
    connection.heard = now_;
    if (connection.lingers) continue;  // data after the end: nobody reads it
    // A client that sends its last flight and its request apart waits for our acknowledgement of
    // the first before it sends the second; the kernel would take 40 ms over that.
    constexpr int kNow = 1;
    ::setsockopt(connection.fd.get(), IPPROTO_TCP, TCP_QUICKACK, &kNow, sizeof kNow);
    if (!take_octets(id, connection, std::span(buffer).first(static_cast<std::size_t>(size)))) {
      return false;
    }
  }
  return true;
}

// It will say no more; but perhaps it has said enough for an answer. False: the connection is gone.
bool Server::hear_out(Id id, Connection& connection, bool orderly) {
  if (orderly && connection.session) {
    if (!send(id, connection)) return false;
    if (!connection.session->pending().empty()) {
      watch(connection.fd.get(), id, EPOLLOUT, EPOLL_CTL_MOD);
      return false;
    }
  }
  end(id, KeOutcome::broken_off);
  return false;
}

bool Server::take_octets(Id id, Connection& connection, std::span<const std::byte> octets) {
  connection.octets += octets.size();
  if (connection.octets > kMostOctets) {
    end(id, KeOutcome::tls_malformed);
    return false;
  }
  if (connection.session) return talk(id, connection, octets);
  connection.first.insert(connection.first.end(), octets.begin(), octets.end());
  if (!is_complete(connection.first)) return true;
  if (!begin_talk(id, connection)) return false;
  const auto first = std::move(connection.first);
  return talk(id, connection, first);
}

// From here on it costs memory and time.
bool Server::begin_talk(Id id, Connection& connection) {
  if (!door_.may_talk(id, now_)) {
    end(id, KeOutcome::rate_limited);
    return false;
  }
  while (const auto other = door_.crowded_by_talk(id)) end(*other, KeOutcome::evicted);
  door_.talk(id);
  connection.session = std::make_unique<Session>(*files_.context(), mint_);
  return true;
}

bool Server::talk(Id id, Connection& connection, std::span<const std::byte> octets) {
  Session& session = *connection.session;
  session.feed(octets);
  if (const int progress = session.progress(); progress != connection.progress) {
    connection.progress = progress;
    door_.progress(id);
  }
  return true;
}

// False: the connection is gone.
bool Server::send(Id id, Connection& connection) {
  Session& session = *connection.session;
  while (!session.pending().empty()) {
    const auto octets = session.pending();
    const ssize_t size = ::send(connection.fd.get(), octets.data(), octets.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) {
      if (!std::exchange(connection.sends, true)) {
        watch(connection.fd.get(), id, EPOLLIN | EPOLLOUT | EPOLLRDHUP, EPOLL_CTL_MOD);
      }
      return true;
    }
    if (size <= 0) {
      end(id, KeOutcome::broken_off);
      return false;
    }
    session.sent(static_cast<std::size_t>(size));
  }
  if (std::exchange(connection.sends, false)) {
    watch(connection.fd.get(), id, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_MOD);
  }
  const auto outcome = session.outcome();
  if (!outcome || connection.lingers) return true;
  count(connection, *outcome);
  // Closing with octets unread would reset the connection and take our answer with it.
  connection.lingers = true;
  connection.heard = now_;
  ::shutdown(connection.fd.get(), SHUT_WR);
  return true;
}

void Server::count(Connection& connection, KeOutcome outcome) {
  if (std::exchange(connection.counted, true)) return;
  ++counters_.outcomes[static_cast<std::size_t>(outcome)];
  if (outcome != KeOutcome::ok) return;
  ++counters_.aeads[static_cast<std::size_t>(connection.session->aead())];
}

void Server::end(Id id, KeOutcome outcome) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const auto& session = found->second.session;
  const auto own = session ? session->outcome() : std::nullopt;
  count(found->second, own.value_or(outcome));
  door_.leave(id);
  connections_.erase(found);
}

void Server::look_at_clocks() {
  if (paused_ && now_ >= paused_until_) {
    paused_ = false;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      watch(listeners_[i], i + 1, EPOLLIN, EPOLL_CTL_MOD);
    }
  }
  look_at_files(false);
  if (now_ - reported_at_ >= std::chrono::seconds(1)) report();
  if (now_ - swept_ < kTick) return;
  swept_ = now_;
  std::vector<std::pair<Id, KeOutcome>> over;
  for (const auto& [id, connection] : connections_) {
    const auto quiet = now_ - connection.heard;
    const auto patience = connection.lingers                 ? milliseconds(kLinger)
                          : stopping_ && !connection.session ? kTick
                                                             : milliseconds(kIdle);
    if (now_ - connection.entered >= kDeadline) {
      over.emplace_back(id, KeOutcome::too_slow);
    } else if (quiet >= patience) {
      over.emplace_back(id, KeOutcome::idle);
    }
  }
  for (const auto& [id, outcome] : over) end(id, outcome);
}

void Server::read_channel() {
  MessageBytes bytes;
  while (true) {
    const ssize_t size = ::recv(channel_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return stop_accepting();
    const auto message =
        static_cast<std::size_t>(size) == bytes.size() ? decode(bytes) : std::optional<Message>();
    if (message) obey(*message);
    ::explicit_bzero(bytes.data(), bytes.size());
  }
}

void Server::obey(const Message& message) {
  if (const auto* key = std::get_if<SealingKey>(&message)) {
    mint_.sealer.emplace(key->key);
    listen_when_ready();
  } else if (std::holds_alternative<LookAgain>(message)) {
    look_at_files(true);
  }
}

void Server::look_at_files(bool anyway) {
  if (!anyway && now_ - looked_ < kLookAtFiles) return;
  looked_ = now_;
  for (const Told& told : files_.look(anyway)) tell(told);
  if (const auto view = files_.view(); view != shown_ && tell(Shown{.certificate = view})) {
    shown_ = view;
  }
  listen_when_ready();
}

void Server::report() {
  reported_at_ = now_;
  counters_.open = connections_.size();
  if (counters_ == reported_) return;
  if (tell(Counted{.counters = counters_})) reported_ = counters_;
}

// A reader that has fallen asleep is no reason to wait: it gets the next sums.
bool Server::tell(const Message& message) {
  const auto bytes = encode(message);
  return ::send(channel_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

// Who has come already is served; who comes now meets our successor, if there is one.
void Server::stop_accepting() {
  if (stopping_) return;
  stopping_ = true;
  stop_at_ = now_ + kGrace;
  watch(channel_, kChannel, 0, EPOLL_CTL_DEL);
  if (!listening_) return;
  for (const int listener : listeners_) {
    while (accept_one(listener)) {
    }
    watch(listener, 0, 0, EPOLL_CTL_DEL);
    ::shutdown(listener, SHUT_RDWR);
  }
}

}  // namespace ntp::ke

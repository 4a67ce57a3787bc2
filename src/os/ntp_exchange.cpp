#include "os/ntp_exchange.h"

#include <netdb.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "os/clocks.h"
#include "os/fd.h"
#include "os/machine.h"
#include "os/sockaddr.h"

namespace ntp::os {
namespace {

std::uint64_t nonce() noexcept {
  std::uint64_t value = 0;
  while (value == 0) {
    if (::getrandom(&value, sizeof value, 0) != sizeof value) value = random_seed();
  }
  return value;
}

struct Received {
  std::size_t size = 0;
  RealTime at{};
};

std::expected<Received, Error> receive(int fd, std::span<std::byte> buffer) {
  alignas(cmsghdr) std::array<std::byte, 128> control;
  iovec vector{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(fd, &message, 0);
  if (size < 0) return std::unexpected(Error::last("receive"));
  Received received{.size = static_cast<std::size_t>(size), .at = real_now()};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec t;
    std::memcpy(&t, CMSG_DATA(c), sizeof t);
    received.at = RealTime(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
  }
  return received;
}

// The answer to `value`, or why there is none.
std::expected<client::Measurement, std::string> await(int fd, std::uint64_t value, RealTime sent,
                                                      RawTime deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - raw_now()).count();
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    const int count = left > 0 ? ::poll(&ready, 1, static_cast<int>(left)) : 0;
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::unexpected("no answer");
    std::array<std::byte, 1500> buffer;
    const auto received = receive(fd, buffer);
    if (!received) return std::unexpected(received.error().text());
    auto measured =
        client::measure(std::span(buffer).first(received->size), value, sent, received->at);
    if (measured) return *measured;
    if (measured.error() == client::Mismatch::kiss) {
      return std::unexpected(std::string(client::describe(measured.error())));
    }
  }
}

}  // namespace

std::expected<std::vector<Endpoint>, std::string> resolve(const std::string& host,
                                                          std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  const int failure = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (failure != 0) return std::unexpected(std::string(::gai_strerror(failure)));
  std::vector<Endpoint> endpoints;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    sockaddr_storage storage{};
    std::memcpy(&storage, a->ai_addr, a->ai_addrlen);
    Endpoint endpoint = to_endpoint(storage);
    endpoint.port = port;
    endpoints.push_back(endpoint);
  }
  ::freeaddrinfo(list);
  return endpoints;
}

std::expected<client::Measurement, std::string> exchange(const Endpoint& server,
                                                         std::chrono::nanoseconds timeout) {
  const SocketAddress address(server);
  const Fd fd(::socket(server.address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (fd) (void)::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  if (!fd || ::connect(fd.get(), address.get(), address.size()) != 0) {
    return std::unexpected(Error::last("connect to " + to_string(server)).text());
  }
  const std::uint64_t value = nonce();
  std::array<std::byte, wire::kHeaderSize> request;
  encode_header(client::make_request(value), request);
  const RawTime deadline = raw_now() + timeout;
  const RealTime sent = real_now();
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return std::unexpected(Error::last("send to " + to_string(server)).text());
  }
  return await(fd.get(), value, sent, deadline);
}

}  // namespace ntp::os

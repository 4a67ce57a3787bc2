#include "os/client_socket.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <optional>

#include "os/clocks.h"
#include "os/sockaddr.h"

namespace ntp::os {
namespace {

// Older than any queue explains, or of the future: the host's clock was stepped in between.
constexpr std::chrono::milliseconds kMaxQueueing{100};

std::optional<RealTime> kernel_stamp(msghdr& message) noexcept {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec t;
    std::memcpy(&t, CMSG_DATA(c), sizeof t);
    return RealTime(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
  }
  return std::nullopt;
}

}  // namespace

std::expected<ClientSocket, Error> ClientSocket::open(const Endpoint& server) {
  // Flags one by one: some system-call simulators know no SOCK_NONBLOCK.
  Fd fd(::socket(server.address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
  if (!fd) return std::unexpected(Error::last("open a socket for " + to_string(server)));
  ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  const int on = 1;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  const SocketAddress address(server);
  if (::connect(fd.get(), address.get(), address.size()) != 0) {
    return std::unexpected(Error::last("connect to " + to_string(server)));
  }
  return ClientSocket(std::move(fd));
}

std::expected<Instant, Error> ClientSocket::send(std::span<const std::byte> datagram) const {
  const Instant before = now();
  if (::send(fd_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL) < 0) {
    return std::unexpected(Error::last("send"));
  }
  return before;
}

std::expected<ClientSocket::Received, Error> ClientSocket::receive(
    std::span<std::byte> buffer) const {
  alignas(cmsghdr) std::array<std::byte, 128> control;
  iovec vector{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(fd_.get(), &message, 0);
  if (size < 0) return std::unexpected(Error::last("receive"));
  Received received{.size = static_cast<std::size_t>(size), .at = now()};
  if (const auto stamp = kernel_stamp(message)) {
    const auto age = received.at.real - *stamp;
    if (age >= age.zero() && age <= kMaxQueueing) {
      received.at = {.real = *stamp, .raw = received.at.raw - age};
    }
  }
  return received;
}

}  // namespace ntp::os

#include "ke/listen.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "os/privileges.h"
#include "os/sockaddr.h"

namespace ntp::ke {

std::expected<os::Fd, os::Error> bind_tcp(const Endpoint& endpoint, std::uint32_t uid) {
  constexpr int kOn = 1;
  const std::string where = to_string(endpoint);
  const bool is_v4 = endpoint.address.is_v4();
  const os::SocketOwner owner(uid);
  os::Fd fd(::socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                     IPPROTO_TCP));
  if (!fd) return std::unexpected(os::Error::last("open a socket for NTS on " + where));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &kOn, sizeof kOn);
  if (!is_v4 && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &kOn, sizeof kOn) != 0) {
    return std::unexpected(os::Error::last("setsockopt IPV6_V6ONLY"));
  }
  const os::SocketAddress address(endpoint);
  if (::bind(fd.get(), address.get(), address.size()) != 0) {
    return std::unexpected(os::Error::last("bind NTS key establishment to TCP " + where));
  }
  return fd;
}

std::expected<std::vector<os::Fd>, os::Error> bind_all(const std::vector<Endpoint>& endpoints,
                                                       bool tolerant, std::uint32_t uid) {
  std::vector<os::Fd> sockets;
  std::optional<os::Error> lacking;
  for (const Endpoint& endpoint : endpoints) {
    auto fd = bind_tcp(endpoint, uid);
    if (fd) {
      sockets.push_back(std::move(*fd));
      continue;
    }
    const int code = fd.error().code;
    const bool lacks_family = code == EAFNOSUPPORT || code == EADDRNOTAVAIL;
    if (!tolerant || !lacks_family) return std::unexpected(std::move(fd.error()));
    lacking = std::move(fd.error());
  }
  if (sockets.empty() && lacking) return std::unexpected(std::move(*lacking));
  return sockets;
}

}  // namespace ntp::ke

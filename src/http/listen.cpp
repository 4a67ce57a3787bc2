#include "http/listen.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "os/sockaddr.h"

namespace ntp::http {

std::expected<os::Fd, os::Error> listen_on(const Endpoint& endpoint) {
  constexpr int kBacklog = 128;
  constexpr int kOn = 1;
  const std::string where = to_string(endpoint);
  const bool is_v4 = endpoint.address.is_v4();
  os::Fd fd(::socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                     IPPROTO_TCP));
  if (!fd) return std::unexpected(os::Error::last("open a socket for HTTP on " + where));
  // Without it a restart would have to wait for the connections of the process before to time out.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &kOn, sizeof kOn);
  if (!is_v4 && ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &kOn, sizeof kOn) != 0) {
    return std::unexpected(os::Error::last("setsockopt IPV6_V6ONLY"));
  }
  const os::SocketAddress address(endpoint);
  if (::bind(fd.get(), address.get(), address.size()) != 0) {
    return std::unexpected(os::Error::last("bind HTTP to " + where));
  }
  if (::listen(fd.get(), kBacklog) != 0) {
    return std::unexpected(os::Error::last("listen for HTTP on " + where));
  }
  return fd;
}

}  // namespace ntp::http

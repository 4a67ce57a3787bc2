#include "os/udp_socket.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <iterator>

#include "os/sockaddr.h"

namespace ntp::os {
namespace {

// Room for a burst while a worker is busy; the kernel cuts it to net.core.rmem_max.
constexpr int kReceiveBuffer = 4 << 20;
constexpr timeval kHeartbeat{.tv_sec = 1, .tv_usec = 0};

template <typename T>
std::expected<void, Error> set(int fd, int level, int option, const T& value, const char* name) {
  if (::setsockopt(fd, level, option, &value, sizeof value) != 0) {
    return std::unexpected(Error::last(std::string("setsockopt ") + name));
  }
  return {};
}

// Some system-call simulators know no type flags: set them one by one there.
Fd open_socket(int family) {
  Fd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd || errno != EINVAL) return fd;
  fd = Fd(::socket(family, SOCK_DGRAM, 0));
  if (fd) ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  return fd;
}

}  // namespace

std::expected<void, Error> prepare_ntp_socket(int fd, bool is_v4) {
  // A simulator or an old kernel may lack any of these; only the packet information is needed to
  // answer from the address that was asked, and the rest has a fallback.
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);  // whoever passed it may have set it
  (void)set(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBuffer, "SO_RCVBUF");
  (void)set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");
  (void)set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1, "SO_RXQ_OVFL");
  (void)set(fd, SOL_SOCKET, SO_RCVTIMEO, kHeartbeat, "SO_RCVTIMEO");
  if (is_v4) {
    (void)set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, "IP_MTU_DISCOVER");
    return set(fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO");
  }
  (void)set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE, "IPV6_MTU_DISCOVER");
  return set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO");
}

std::expected<Fd, Error> open_ntp_socket(const Endpoint& endpoint) {
  const bool is_v4 = endpoint.address.is_v4();
  Fd fd = open_socket(is_v4 ? AF_INET : AF_INET6);
  if (!fd) return std::unexpected(Error::last("open a socket for " + to_string(endpoint)));
  if (!is_v4) {
    if (const auto only = set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"); !only) {
      return std::unexpected(only.error());
    }
  }
  (void)set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  if (const auto prepared = prepare_ntp_socket(fd.get(), is_v4); !prepared) {
    return std::unexpected(prepared.error());
  }
  const SocketAddress address(endpoint);
  if (::bind(fd.get(), address.get(), address.size()) != 0) {
    return std::unexpected(Error::last("bind " + to_string(endpoint)));
  }
  return fd;
}

bool is_datagram_socket(int fd) noexcept {
  int type = 0;
  int family = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM &&
         ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 &&
         (family == AF_INET || family == AF_INET6);
}

std::expected<Endpoint, Error> local_endpoint(int fd) {
  SocketAddress address;
  if (::getsockname(fd, address.get(), address.size_for_kernel()) != 0) {
    return std::unexpected(Error::last("getsockname"));
  }
  return address.endpoint();
}

std::expected<void, Error> steer_by_source(int fd, bool is_v4, std::uint32_t members,
                                           std::uint32_t first) {
  constexpr std::uint32_t kSourceV4 = static_cast<std::uint32_t>(SKF_NET_OFF) + 12;
  constexpr std::uint32_t kSourceV6 = static_cast<std::uint32_t>(SKF_NET_OFF) + 8;
  constexpr std::uint32_t kOddMultiplier = 0x9e3779b1;  // Knuth: spreads neighbours apart
  std::array<sock_filter, 16> code{};
  std::uint16_t size = 0;
  const auto emit = [&](std::uint16_t op, std::uint32_t k) {
    code[size++] = sock_filter{.code = op, .jt = 0, .jf = 0, .k = k};
  };
  if (is_v4) {
    emit(BPF_LD | BPF_W | BPF_ABS, kSourceV4);
  } else {  // the upper 64 bits: a client may own all the lower ones
    emit(BPF_LD | BPF_W | BPF_ABS, kSourceV6);
    emit(BPF_ALU | BPF_MUL | BPF_K, kOddMultiplier);
    emit(BPF_MISC | BPF_TAX, 0);
    emit(BPF_LD | BPF_W | BPF_ABS, kSourceV6 + 4);
    emit(BPF_ALU | BPF_XOR | BPF_X, 0);
  }
  emit(BPF_ALU | BPF_MUL | BPF_K, kOddMultiplier);
  emit(BPF_ALU | BPF_RSH | BPF_K, 16);
  emit(BPF_ALU | BPF_MOD | BPF_K, members);
  emit(BPF_ALU | BPF_ADD | BPF_K, first);
  emit(BPF_RET | BPF_A, 0);
  const sock_fprog program{.len = size, .filter = code.data()};
  return set(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program, "SO_ATTACH_REUSEPORT_CBPF");
}

// A connected socket takes datagrams of its peer alone: here nobody, the discard service of the
// socket's own address (a wildcard connects to loopback).
void leave_choice_of_receivers(int fd) noexcept {
  const auto local = local_endpoint(fd);
  if (!local) return;
  Endpoint nobody = *local;
  nobody.port = 9;
  const SocketAddress address(nobody);
  (void)::connect(fd, address.get(), address.size());
}

// The receive path looks a socket up and fills its queue in one RCU section: past a grace period
// all that saw the old world are done.
void wait_for_datagrams_in_flight() noexcept {
  ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

}  // namespace ntp::os

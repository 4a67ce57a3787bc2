#include "os/udp_batch.h"

#include <arpa/inet.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace ntp::os {
namespace {

constexpr unsigned kLoopbackInterface = 1;  // the first device of every network namespace

template <typename T>
T read_as(const void* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Writes one control message into an empty buffer and returns the length to give to the kernel:
// without the padding, since from 36 octets on the kernel would allocate room for it.
template <typename T>
std::size_t put_control(std::byte* buffer, int level, int type, const T& value) noexcept {
  cmsghdr header{};
  header.cmsg_len = CMSG_LEN(sizeof value);
  header.cmsg_level = level;
  header.cmsg_type = type;
  std::memcpy(buffer, &header, sizeof header);
  std::memcpy(buffer + CMSG_LEN(0), &value, sizeof value);
  return CMSG_LEN(sizeof value);
}

}  // namespace

UdpBatch::UdpBatch(bool is_v4, std::uint16_t local_port, Calls calls) noexcept
    : is_v4_(is_v4), local_port_(local_port), calls_(calls) {
  for (std::size_t i = 0; i < kSlots; ++i) {
    vectors_[i] = {.iov_base = buffers_[i].data(), .iov_len = kBufferSize};
    msghdr& in = messages_[i].msg_hdr;
    in.msg_name = &names_[i];
    in.msg_iov = &vectors_[i];
    in.msg_iovlen = 1;
    in.msg_control = control_[i].data();
  }
}

// The kernel overwrites lengths and flags of every slot that it filled.
void UdpBatch::arm() noexcept {
  for (std::size_t i = 0; i < dirty_; ++i) {
    msghdr& in = messages_[i].msg_hdr;
    in.msg_namelen = sizeof names_[i];
    in.msg_controllen = kControlSize;
    in.msg_flags = 0;
  }
}

// The number of datagrams, or -1 and errno.
int UdpBatch::ask_kernel(int fd, bool wait) noexcept {
  if (calls_ == Calls::many) {
    return ::recvmmsg(fd, messages_.data(), kSlots, wait ? MSG_WAITFORONE : MSG_DONTWAIT, nullptr);
  }
  const ssize_t size = ::recvmsg(fd, &messages_[0].msg_hdr, wait ? 0 : MSG_DONTWAIT);
  if (size < 0) return -1;
  messages_[0].msg_len = static_cast<unsigned>(size);
  return 1;
}

std::size_t UdpBatch::receive(int fd, bool wait) noexcept {
  arm();
  queued_ = 0;
  failure_ = 0;
  const int count = ask_kernel(fd, wait);
  dirty_ = count > 0 ? static_cast<std::size_t>(count) : 1;
  if (count < 0 && errno != EAGAIN && errno != EINTR) failure_ = errno;
  if (count <= 0) return 0;
  for (std::size_t i = 0; i < dirty_; ++i) read_control(i);
  return dirty_;
}

void UdpBatch::read_control(std::size_t slot) noexcept {
  stamps_[slot].reset();
  asked_[slot] = {};
  interfaces_[slot] = 0;
  to_many_[slot] = false;
  msghdr& in = messages_[slot].msg_hdr;
  for (cmsghdr* c = CMSG_FIRSTHDR(&in); c != nullptr; c = CMSG_NXTHDR(&in, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
      const auto t = read_as<timespec>(CMSG_DATA(c));
      stamps_[slot] =
          RealTime(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
      lost_ = read_as<std::uint32_t>(CMSG_DATA(c));  // as of when this datagram was queued
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      const auto info = read_as<in_pktinfo>(CMSG_DATA(c));
      // ipi_spec_dst is ours even where a broadcast address was asked; ipi_addr is what was asked.
      std::memcpy(asked_[slot].octets.data(), &info.ipi_spec_dst, sizeof info.ipi_spec_dst);
      interfaces_[slot] = static_cast<unsigned>(info.ipi_ifindex);
      // Interface 0: it was queued before the option was set (socket activation); nothing is known.
      to_many_[slot] = info.ipi_ifindex != 0 && info.ipi_spec_dst.s_addr != info.ipi_addr.s_addr;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      const auto info = read_as<in6_pktinfo>(CMSG_DATA(c));
      asked_[slot].family = IpAddress::Family::v6;
      std::memcpy(asked_[slot].octets.data(), &info.ipi6_addr, sizeof info.ipi6_addr);
      interfaces_[slot] = info.ipi6_ifindex;
      const IpAddress asked = unmapped(asked_[slot]);
      to_many_[slot] = asked.is_multicast() || asked.is_broadcast();
    }
  }
}

server::Arrival UdpBatch::arrival(std::size_t slot) const noexcept {
  const mmsghdr& message = messages_[slot];
  server::Arrival arrival;
  arrival.payload = std::span(buffers_[slot]).first(message.msg_len);
  arrival.truncated = (message.msg_hdr.msg_flags & MSG_TRUNC) != 0;
  if (is_v4_) {
    const auto name = read_as<sockaddr_in>(&names_[slot]);
    std::memcpy(arrival.source.address.octets.data(), &name.sin_addr, sizeof name.sin_addr);
    arrival.source.port = ntohs(name.sin_port);
  } else {
    const sockaddr_in6& name = names_[slot];
    IpAddress source{.family = IpAddress::Family::v6};
    std::memcpy(source.octets.data(), &name.sin6_addr, sizeof name.sin6_addr);
    arrival.source = {.address = unmapped(source),  // systemd's sockets may be for both families
                      .port = ntohs(name.sin6_port),
                      .scope = name.sin6_scope_id};
  }
  arrival.local = {.address = unmapped(asked_[slot]), .port = local_port_};
  // Without packet information (a simulator) nothing is known against the source.
  arrival.through_loopback = interfaces_[slot] == kLoopbackInterface || interfaces_[slot] == 0;
  arrival.to_many = to_many_[slot];
  return arrival;
}

std::span<std::byte> UdpBatch::reply(std::size_t slot, std::size_t size) noexcept {
  NTP_CHECK(size <= nts::kMaxReply);
  reply_sizes_[slot] = size;
  return std::span(replies_[slot]).first(size);
}

void UdpBatch::queue(std::size_t slot) noexcept {
  NTP_CHECK(queued_ < kSlots);
  reply_vectors_[queued_] = {.iov_base = replies_[slot].data(), .iov_len = reply_sizes_[slot]};
  msghdr& out = reply_messages_[queued_].msg_hdr;
  out = {};
  out.msg_name = &names_[slot];
  out.msg_namelen = messages_[slot].msg_hdr.msg_namelen;
  out.msg_iov = &reply_vectors_[queued_];
  out.msg_iovlen = 1;
  if (interfaces_[slot] != 0) {
    std::byte* buffer = reply_control_[queued_].data();
    out.msg_control = buffer;
    if (is_v4_) {
      in_pktinfo info{};
      info.ipi_ifindex = static_cast<int>(interfaces_[slot]);
      std::memcpy(&info.ipi_spec_dst, asked_[slot].octets.data(), sizeof info.ipi_spec_dst);
      out.msg_controllen = put_control(buffer, IPPROTO_IP, IP_PKTINFO, info);
    } else {
      in6_pktinfo info{};
      info.ipi6_ifindex = interfaces_[slot];
      std::memcpy(&info.ipi6_addr, asked_[slot].octets.data(), sizeof info.ipi6_addr);
      out.msg_controllen = put_control(buffer, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
  }
  ++queued_;
}

std::size_t UdpBatch::send(int fd) noexcept {
  std::size_t accepted = 0;
  std::size_t next = 0;
  while (next < queued_) {
    int sent = 0;
    if (calls_ == Calls::one) {
      sent = ::sendmsg(fd, &reply_messages_[next].msg_hdr, MSG_DONTWAIT) < 0 ? -1 : 1;
    } else {
      sent = ::sendmmsg(fd, &reply_messages_[next], static_cast<unsigned>(queued_ - next),
                        MSG_DONTWAIT);
    }
    if (sent > 0) {
      accepted += static_cast<std::size_t>(sent);
      next += static_cast<std::size_t>(sent);
    } else if (errno != EINTR) {
      ++next;  // this one cannot be sent (no route, filtered, a pending ICMP error): go on
    }
  }
  queued_ = 0;
  return accepted;
}

}  // namespace ntp::os

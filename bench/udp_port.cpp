#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "frame.h"
#include "port.h"

namespace ntp::bench {
namespace {

constexpr std::size_t kBufferSize = 1536;
constexpr std::size_t kControlSize = 64;

std::unexpected<std::string> failed(const char* what) {
  return std::unexpected(std::string(what) + ": " + std::strerror(errno));
}

template <typename T>
std::size_t put_control(std::byte* buffer, int level, int type, const T& value) noexcept {
  cmsghdr header{};
  header.cmsg_len = CMSG_LEN(sizeof value);
  header.cmsg_level = level;
  header.cmsg_type = type;
  std::memcpy(buffer, &header, sizeof header);
  std::memcpy(buffer + CMSG_LEN(0), &value, sizeof value);
  return CMSG_SPACE(sizeof value);
}

class UdpPort final : public Port {
 public:
  explicit UdpPort(const PortOptions& options) : options_(options) {}
  UdpPort(const UdpPort&) = delete;
  UdpPort& operator=(const UdpPort&) = delete;
  ~UdpPort() override {
    if (fd_ >= 0) ::close(fd_);
  }

  std::expected<void, std::string> open() {
    const auto server = parse_host(options_.server);
    if (!server) return std::unexpected(server.error());
    server_ = *server;
    if (!options_.source.empty()) {
      const auto source = parse_host(options_.source);
      if (!source) return std::unexpected(source.error());
      if (source->size != server_.size) {
        return std::unexpected("server and source differ in family");
      }
      source_ = *source;
    }
    fill_destination();
    fd_ = ::socket(server_.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return failed("socket");
    const int on = 1;
    // What comes while others have the processor is not to be lost here: some hundred thousand
    // answers, or what the kernel gives to all.
    const int buffer = 64 << 20;
    if (::setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    }
    const int done = server_.is_v4()
                         ? ::setsockopt(fd_, IPPROTO_IP, IP_PKTINFO, &on, sizeof on)
                         : ::setsockopt(fd_, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    if (done != 0) return failed("IP_PKTINFO");
    prepare_messages();
    return {};
  }

  std::size_t send(std::span<const Request> requests) override {
    const std::size_t count = std::min(requests.size(), kMaxBatch);
    for (std::size_t i = 0; i < count; ++i) {
      std::ranges::copy(requests[i].payload, requests_[i].begin());
      if (!options_.source.empty()) choose_source(i, requests[i].client);
    }
    const int sent = ::sendmmsg(fd_, sending_.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }

  std::span<const Reply> receive() override {
    for (mmsghdr& message : receiving_) {
      message.msg_hdr.msg_namelen = sizeof(sockaddr_in6);
      message.msg_hdr.msg_controllen = kControlSize;
    }
    const int count = ::recvmmsg(fd_, receiving_.data(), kMaxBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; ++i) {
      const auto slot = static_cast<std::size_t>(i);
      replies_[slot] = {.payload = std::span(buffers_[slot]).first(receiving_[slot].msg_len),
                        .client = asked_client(slot),
                        .from_server = std::memcmp(&names_[slot], &destination_, compared_) == 0};
    }
    return std::span(replies_).first(static_cast<std::size_t>(std::max(count, 0)));
  }

 private:
  void fill_destination() noexcept {
    if (server_.is_v4()) {
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = htons(options_.port);
      std::memcpy(&name.sin_addr, server_.octets.data(), sizeof name.sin_addr);
      std::memcpy(&destination_, &name, sizeof name);
      compared_ = offsetof(sockaddr_in, sin_zero);
      destination_size_ = sizeof name;
    } else {
      destination_.sin6_family = AF_INET6;
      destination_.sin6_port = htons(options_.port);
      std::memcpy(&destination_.sin6_addr, server_.octets.data(), sizeof destination_.sin6_addr);
      compared_ = offsetof(sockaddr_in6, sin6_scope_id);
      destination_size_ = sizeof destination_;
    }
  }

  void prepare_messages() noexcept {
    for (std::size_t i = 0; i < kMaxBatch; ++i) {
      vectors_out_[i] = {.iov_base = requests_[i].data(), .iov_len = options_.request_size};
      vectors_in_[i] = {.iov_base = buffers_[i].data(), .iov_len = kBufferSize};
      msghdr& out = sending_[i].msg_hdr;
      out.msg_name = &destination_;
      out.msg_namelen = destination_size_;
      out.msg_iov = &vectors_out_[i];
      out.msg_iovlen = 1;
      msghdr& in = receiving_[i].msg_hdr;
      in.msg_name = &names_[i];
      in.msg_iov = &vectors_in_[i];
      in.msg_iovlen = 1;
      in.msg_control = control_in_[i].data();
    }
  }

  void choose_source(std::size_t slot, std::uint32_t client) noexcept {
    const HostAddress source = source_.plus(client);
    msghdr& out = sending_[slot].msg_hdr;
    out.msg_control = control_out_[slot].data();
    if (server_.is_v4()) {
      in_pktinfo info{};
      std::memcpy(&info.ipi_spec_dst, source.octets.data(), sizeof info.ipi_spec_dst);
      out.msg_controllen = put_control(control_out_[slot].data(), IPPROTO_IP, IP_PKTINFO, info);
    } else {
      in6_pktinfo info{};
      std::memcpy(&info.ipi6_addr, source.octets.data(), sizeof info.ipi6_addr);
      out.msg_controllen = put_control(control_out_[slot].data(), IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
  }

  // To which client's address a datagram came; options_.clients when to none of them.
  std::uint32_t asked_client(std::size_t slot) noexcept {
    if (options_.source.empty()) return 0;
    HostAddress to;
    to.size = server_.size;
    msghdr& in = receiving_[slot].msg_hdr;
    for (cmsghdr* c = CMSG_FIRSTHDR(&in); c != nullptr; c = CMSG_NXTHDR(&in, c)) {
      if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        std::memcpy(to.octets.data(), CMSG_DATA(c) + offsetof(in_pktinfo, ipi_addr), 4);
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        std::memcpy(to.octets.data(), CMSG_DATA(c) + offsetof(in6_pktinfo, ipi6_addr), 16);
      }
    }
    const std::uint32_t client = to.low_bits() - source_.low_bits();
    if (client >= options_.clients) return options_.clients;
    return std::ranges::equal(to.bytes(), source_.plus(client).bytes()) ? client : options_.clients;
  }

  PortOptions options_;
  HostAddress server_{};
  HostAddress source_{};
  int fd_ = -1;
  sockaddr_in6 destination_{};  // holds either family
  socklen_t destination_size_ = 0;
  std::size_t compared_ = 0;  // octets of a source's name that must equal the destination's
  std::array<Reply, kMaxBatch> replies_{};
  std::array<std::array<std::byte, kMaxRequest>, kMaxBatch> requests_{};
  std::array<std::array<std::byte, kBufferSize>, kMaxBatch> buffers_{};
  alignas(cmsghdr) std::array<std::array<std::byte, kControlSize>, kMaxBatch> control_out_{};
  alignas(cmsghdr) std::array<std::array<std::byte, kControlSize>, kMaxBatch> control_in_{};
  std::array<sockaddr_in6, kMaxBatch> names_{};
  std::array<iovec, kMaxBatch> vectors_out_{};
  std::array<iovec, kMaxBatch> vectors_in_{};
  std::array<mmsghdr, kMaxBatch> sending_{};
  std::array<mmsghdr, kMaxBatch> receiving_{};
};

}  // namespace

std::expected<std::unique_ptr<Port>, std::string> open_udp_port(const PortOptions& options) {
  auto port = std::make_unique<UdpPort>(options);
  if (const auto opened = port->open(); !opened) return std::unexpected(opened.error());
  return port;
}

}  // namespace ntp::bench

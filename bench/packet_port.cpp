#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "frame.h"
#include "port.h"

namespace ntp::bench {
namespace {

constexpr unsigned kSlotSize = 256;  // a frame's header of the kernel's and the frame; of plain NTP
constexpr unsigned kLargestSlot = 2048;
constexpr unsigned kBlockSize = 1 << 20;
constexpr unsigned kBlocks = 8;

// No reply is longer than its request. Smaller slots are kinder to the cache.
unsigned slot_size(const FramePlan& plan) noexcept {
  constexpr std::size_t kHeaders = 128;
  unsigned size = kSlotSize;
  while (size < plan.frame_size() + kHeaders && size < kLargestSlot) size *= 2;
  return size;
}

// struct virtio_net_hdr, whose header in linux/ is not C++ (a field is called "class").
struct VirtioHeader {
  std::uint8_t flags = 1;  // VIRTIO_NET_HDR_F_NEEDS_CSUM
  std::uint8_t gso_type = 0;
  std::uint16_t hdr_len = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t csum_start = 0;
  std::uint16_t csum_offset = 6;  // of the checksum in a UDP header
};
static_assert(sizeof(VirtioHeader) == 10 && alignof(VirtioHeader) <= 2);

std::unexpected<std::string> failed(const char* what) {
  return std::unexpected(std::string(what) + ": " + std::strerror(errno));
}

class PacketPort final : public Port {
 public:
  PacketPort(const FramePlan& plan, std::uint32_t clients)
      : plan_(plan),
        clients_(clients),
        slot_size_(slot_size(plan)),
        ring_slots_(kBlocks * (kBlockSize / slot_size_)) {
    for (std::size_t i = 0; i < kMaxBatch; ++i) {
      Outgoing& out = outgoing_[i];
      // All in the linear part, as a driver's small frame is, and the checksum left to "hardware".
      out.header.hdr_len = static_cast<std::uint16_t>(plan_.frame_size());
      out.header.csum_start = static_cast<std::uint16_t>(plan_.udp_at());
      vectors_[i] = {.iov_base = &out, .iov_len = sizeof out.header + plan_.frame_size()};
      messages_[i].msg_hdr.msg_iov = &vectors_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  PacketPort(const PacketPort&) = delete;
  PacketPort& operator=(const PacketPort&) = delete;
  ~PacketPort() override {
    if (ring_ != nullptr) ::munmap(ring_, std::size_t{kBlocks} * kBlockSize);
    if (out_ >= 0) ::close(out_);
    if (in_ >= 0) ::close(in_);
  }

  std::expected<void, std::string> open(const std::string& interface) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
    if (address.sll_ifindex == 0) return failed(("interface " + interface).c_str());
    if (const auto sender = open_sender(address); !sender) return sender;
    return open_ring(address);
  }

  std::size_t send(std::span<const Request> requests) override {
    const std::size_t count = std::min(requests.size(), kMaxBatch);
    for (std::size_t i = 0; i < count; ++i) {
      write_frame(plan_, requests[i].client, requests[i].payload, outgoing_[i].frame);
    }
    const int sent = ::sendmmsg(out_, messages_.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }

  std::span<const Reply> receive() override {
    release_read();
    while (ready_ < replies_.size()) {
      auto* header = slot(next_);
      // The kernel hands a slot over by this word, after the frame is in it.
      if ((std::atomic_ref(header->tp_status).load(std::memory_order_acquire) & TP_STATUS_USER) ==
          0) {
        break;
      }
      next_ = (next_ + 1) % ring_slots_;
      ++taken_;
      const auto* frame = reinterpret_cast<const std::byte*>(header) + header->tp_mac;
      const auto read = read_frame(plan_.server.is_v4(), {frame, header->tp_snaplen});
      if (!read) continue;  // address resolution, multicast reports: not ours
      replies_[ready_++] = {
          .payload = read->payload,
          .client = client_of(plan_, clients_, *read).value_or(clients_),
          .from_server = read->from_port == plan_.server_port &&
                         std::ranges::equal(read->from.bytes(), plan_.server.bytes())};
    }
    return std::span(replies_).first(ready_);
  }

 private:
  struct Outgoing {
    VirtioHeader header{};
    std::array<std::byte, kMaxFrameSize> frame{};
  };

  std::expected<void, std::string> open_sender(const sockaddr_ll& address) {
    constexpr int kOn = 1;
    // Protocol 0: this socket only sends, so no frame is copied to it.
    out_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (out_ < 0) return failed("packet socket (needs CAP_NET_RAW)");
    if (::setsockopt(out_, SOL_PACKET, PACKET_VNET_HDR, &kOn, sizeof kOn) != 0) {
      return failed("PACKET_VNET_HDR");
    }
    if (::setsockopt(out_, SOL_PACKET, PACKET_QDISC_BYPASS, &kOn, sizeof kOn) != 0) {
      return failed("PACKET_QDISC_BYPASS");
    }
    const int buffer = 8 << 20;
    ::setsockopt(out_, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    if (::bind(out_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return failed("bind packet socket");
    }
    return {};
  }

  std::expected<void, std::string> open_ring(sockaddr_ll address) {
    in_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (in_ < 0) return failed("packet socket");
    const int version = TPACKET_V2;
    if (::setsockopt(in_, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0) {
      return failed("PACKET_VERSION");
    }
    tpacket_req request{};
    request.tp_block_size = kBlockSize;
    request.tp_block_nr = kBlocks;
    request.tp_frame_size = slot_size_;
    request.tp_frame_nr = ring_slots_;
    if (::setsockopt(in_, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) != 0) {
      return failed("PACKET_RX_RING");
    }
    void* ring = ::mmap(nullptr, std::size_t{kBlocks} * kBlockSize, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, in_, 0);
    if (ring == MAP_FAILED) return failed("mmap of the ring");
    ring_ = static_cast<std::byte*>(ring);
    address.sll_protocol = htons(plan_.server.is_v4() ? ETH_P_IP : ETH_P_IPV6);
    if (::bind(in_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return failed("bind ring");
    }
    return {};
  }

  tpacket2_hdr* slot(unsigned index) noexcept {
    return reinterpret_cast<tpacket2_hdr*>(ring_ + std::size_t{index} * slot_size_);
  }

  // Gives the slots of the last receive() back to the kernel.
  void release_read() noexcept {
    for (; taken_ > 0; --taken_) {
      auto* header = slot((next_ + ring_slots_ - taken_) % ring_slots_);
      std::atomic_ref(header->tp_status).store(TP_STATUS_KERNEL, std::memory_order_release);
    }
    ready_ = 0;
  }

  FramePlan plan_;
  std::uint32_t clients_;
  unsigned slot_size_;
  unsigned ring_slots_;
  int out_ = -1;
  int in_ = -1;
  std::byte* ring_ = nullptr;
  unsigned next_ = 0;   // the slot that the kernel fills next
  unsigned taken_ = 0;  // slots before next_ that are lent out
  std::size_t ready_ = 0;
  std::array<Reply, kMaxBatch> replies_{};
  std::array<Outgoing, kMaxBatch> outgoing_{};
  std::array<iovec, kMaxBatch> vectors_{};
  std::array<mmsghdr, kMaxBatch> messages_{};
};

}  // namespace

std::expected<std::unique_ptr<Port>, std::string> open_packet_port(const PortOptions& options) {
  FramePlan plan{.server_port = options.port, .payload_size = options.request_size};
  const auto server = parse_host(options.server);
  if (!server) return std::unexpected(server.error());
  const auto source = parse_host(options.source);
  if (!source) return std::unexpected(source.error());
  if (server->size != source->size) return std::unexpected("server and source differ in family");
  const auto to = parse_mac(options.next_hop_mac);
  if (!to) return std::unexpected(to.error());
  const auto from = parse_mac(options.source_mac);
  if (!from) return std::unexpected(from.error());
  plan.server = *server;
  plan.first_client = *source;
  plan.to = *to;
  plan.from = *from;
  auto port = std::make_unique<PacketPort>(plan, options.clients);
  if (const auto opened = port->open(options.interface); !opened) {
    return std::unexpected(opened.error());
  }
  return port;
}

}  // namespace ntp::bench

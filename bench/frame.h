// Ethernet frames with an NTP request in a UDP datagram over IPv4 or IPv6, and how to read them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>

#include "dialogue.h"
#include "exchange.h"

namespace ntp::bench {

inline constexpr std::size_t kEthernetSize = 14;
inline constexpr std::size_t kUdpSize = 8;
inline constexpr std::size_t kMaxFrameSize = kEthernetSize + 40 + kUdpSize + kMaxRequest;

using Mac = std::array<std::byte, 6>;

// An address of either family: 4 or 16 octets.
struct HostAddress {
  std::array<std::byte, 16> octets{};
  std::size_t size = 4;

  bool is_v4() const noexcept { return size == 4; }
  std::span<const std::byte> bytes() const noexcept { return std::span(octets).first(size); }
  std::uint32_t low_bits() const noexcept;
  // The address `step` above this one, within the lowest 32 bits.
  HostAddress plus(std::uint32_t step) const noexcept;
};

std::expected<HostAddress, std::string> parse_host(const std::string& text);
std::expected<Mac, std::string> parse_mac(const std::string& text);

// Everything in a frame that is the same for all clients.
struct FramePlan {
  Mac to{};
  Mac from{};
  HostAddress server{};
  HostAddress first_client{};
  std::uint16_t server_port = 123;
  std::size_t payload_size = kNtpSize;

  std::size_t ip_size() const noexcept { return server.is_v4() ? 20 : 40; }
  std::size_t udp_at() const noexcept { return kEthernetSize + ip_size(); }
  std::size_t frame_size() const noexcept { return udp_at() + kUdpSize + payload_size; }
};

// The source port of a client: always the same, spread over the unprivileged ones.
constexpr std::uint16_t port_of_client(std::uint32_t client) noexcept {
  return static_cast<std::uint16_t>(20000 + (client * std::uint64_t{2654435761}) % 40009);
}

// Writes a request's frame; payload.size() == plan.payload_size. The UDP checksum holds the
// pseudo-header's sum only: the kernel is told to complete it (VIRTIO_NET_HDR_F_NEEDS_CSUM), which
// on a virtual link nobody has to do.
void write_frame(const FramePlan& plan, std::uint32_t client, std::span<const std::byte> payload,
                 std::span<std::byte, kMaxFrameSize> out) noexcept;

struct ReplyFrame {
  std::span<const std::byte> payload{};
  HostAddress from{};
  HostAddress to{};
  std::uint16_t from_port = 0;
  std::uint16_t to_port = 0;
};
// The datagram in a frame of the plan's family, or nothing when it is something else.
std::optional<ReplyFrame> read_frame(bool is_v4, std::span<const std::byte> frame) noexcept;

// Which client a reply went to, if it is one of the `clients` and at its own port.
std::optional<std::uint32_t> client_of(const FramePlan& plan, std::uint32_t clients,
                                       const ReplyFrame& reply) noexcept;

}  // namespace ntp::bench

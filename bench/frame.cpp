#include "frame.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace ntp::bench {
namespace {

constexpr std::uint16_t kTypeV4 = 0x0800;
constexpr std::uint16_t kTypeV6 = 0x86dd;
constexpr std::byte kUdp{17};

std::uint16_t load_u16(const std::byte* at) noexcept {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(at[0]) << 8 |
                                    std::to_integer<unsigned>(at[1]));
}
void store_u16(std::byte* at, std::size_t value) noexcept {
  at[0] = static_cast<std::byte>(value >> 8 & 0xff);
  at[1] = static_cast<std::byte>(value & 0xff);
}

// The Internet checksum's sum (RFC 1071), not complemented; `data` has even length.
std::uint32_t sum_words(std::span<const std::byte> data, std::uint32_t sum = 0) noexcept {
  for (std::size_t i = 0; i + 1 < data.size(); i += 2) sum += load_u16(&data[i]);
  return sum;
}
std::uint16_t fold(std::uint32_t sum) noexcept {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

void write_ip(const FramePlan& plan, const HostAddress& client, std::byte* ip) noexcept {
  const std::size_t datagram = kUdpSize + plan.payload_size;
  if (plan.server.is_v4()) {
    ip[0] = std::byte{0x45};
    store_u16(ip + 2, 20 + datagram);
    ip[6] = std::byte{0x40};  // do not fragment
    ip[8] = std::byte{64};
    ip[9] = kUdp;
    std::ranges::copy(client.bytes(), ip + 12);
    std::ranges::copy(plan.server.bytes(), ip + 16);
    store_u16(ip + 10, static_cast<std::uint16_t>(~fold(sum_words({ip, 20}))));
  } else {
    ip[0] = std::byte{0x60};
    store_u16(ip + 4, datagram);
    ip[6] = kUdp;
    ip[7] = std::byte{64};
    std::ranges::copy(client.bytes(), ip + 8);
    std::ranges::copy(plan.server.bytes(), ip + 24);
  }
}

}  // namespace

std::uint32_t HostAddress::low_bits() const noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = size - 4; i < size; ++i) {
    value = value << 8 | std::to_integer<std::uint32_t>(octets[i]);
  }
  return value;
}

HostAddress HostAddress::plus(std::uint32_t step) const noexcept {
  HostAddress moved = *this;
  std::uint32_t value = low_bits() + step;
  for (std::size_t i = size; i-- > size - 4; value >>= 8) {
    moved.octets[i] = static_cast<std::byte>(value & 0xff);
  }
  return moved;
}

std::expected<HostAddress, std::string> parse_host(const std::string& text) {
  HostAddress address;
  if (::inet_pton(AF_INET, text.c_str(), address.octets.data()) == 1) return address;
  address.size = 16;
  if (::inet_pton(AF_INET6, text.c_str(), address.octets.data()) == 1) return address;
  return std::unexpected("not a numeric address: '" + text + "'");
}

std::expected<Mac, std::string> parse_mac(const std::string& text) {
  std::array<unsigned, 6> v{};
  char rest = 0;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", &v[0], &v[1], &v[2], &v[3], &v[4],
                  &v[5], &rest) != 6) {
    return std::unexpected("not a MAC address: '" + text + "'");
  }
  Mac mac;
  std::ranges::transform(v, mac.begin(), [](unsigned octet) { return std::byte(octet); });
  return mac;
}

void write_frame(const FramePlan& plan, std::uint32_t client, std::span<const std::byte> payload,
                 std::span<std::byte, kMaxFrameSize> out) noexcept {
  const HostAddress source = plan.first_client.plus(client);
  std::ranges::fill(out.first(plan.udp_at() + kUdpSize), std::byte{0});
  std::ranges::copy(plan.to, out.begin());
  std::ranges::copy(plan.from, out.begin() + 6);
  store_u16(&out[12], plan.server.is_v4() ? kTypeV4 : kTypeV6);
  write_ip(plan, source, &out[kEthernetSize]);

  std::byte* udp = &out[plan.udp_at()];
  const std::size_t datagram = kUdpSize + plan.payload_size;
  store_u16(udp, port_of_client(client));
  store_u16(udp + 2, plan.server_port);
  store_u16(udp + 4, datagram);
  const std::uint32_t addresses = sum_words(plan.server.bytes(), sum_words(source.bytes()));
  store_u16(udp + 6, fold(addresses + std::to_integer<std::uint32_t>(kUdp) +
                          static_cast<std::uint32_t>(datagram)));
  std::ranges::copy(payload, udp + kUdpSize);
}

std::optional<ReplyFrame> read_frame(bool is_v4, std::span<const std::byte> frame) noexcept {
  const std::size_t ip_size = is_v4 ? 20 : 40;
  if (frame.size() < kEthernetSize + ip_size + kUdpSize) return {};
  if (load_u16(&frame[12]) != (is_v4 ? kTypeV4 : kTypeV6)) return {};
  const std::byte* ip = &frame[kEthernetSize];
  // A server's short reply has neither IP options nor extension headers.
  if (is_v4 ? (ip[0] != std::byte{0x45} || ip[9] != kUdp) : ip[6] != kUdp) return {};
  const std::byte* udp = ip + ip_size;
  const std::size_t udp_size = load_u16(udp + 4);
  if (udp_size < kUdpSize || kEthernetSize + ip_size + udp_size > frame.size()) return {};

  ReplyFrame reply;
  reply.from.size = reply.to.size = is_v4 ? 4 : 16;
  const std::byte* addresses = ip + (is_v4 ? 12 : 8);
  std::copy_n(addresses, reply.from.size, reply.from.octets.begin());
  std::copy_n(addresses + reply.from.size, reply.to.size, reply.to.octets.begin());
  reply.from_port = load_u16(udp);
  reply.to_port = load_u16(udp + 2);
  reply.payload = {udp + kUdpSize, udp_size - kUdpSize};
  return reply;
}

std::optional<std::uint32_t> client_of(const FramePlan& plan, std::uint32_t clients,
                                       const ReplyFrame& reply) noexcept {
  const std::uint32_t client = reply.to.low_bits() - plan.first_client.low_bits();
  if (client >= clients || reply.to_port != port_of_client(client)) return {};
  if (!std::ranges::equal(reply.to.bytes(), plan.first_client.plus(client).bytes())) return {};
  return client;
}

}  // namespace ntp::bench

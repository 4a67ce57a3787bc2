// Internet addresses and endpoints as plain values.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ntp {

// IPv4 or IPv6. IPv4 stands in the first four octets, the others are zero. An IPv4-mapped IPv6
// address is a different value: unmapped() where a socket may be for both families.
struct IpAddress {
  enum class Family : std::uint8_t { v4, v6 };

  Family family = Family::v4;
  std::array<std::uint8_t, 16> octets{};

  static constexpr IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return {Family::v4, {a, b, c, d}};
  }

  constexpr bool is_v4() const noexcept { return family == Family::v4; }
  bool is_unspecified() const noexcept;
  bool is_loopback() const noexcept;   // 127.0.0.0/8, ::1
  bool is_multicast() const noexcept;  // 224.0.0.0/4, ff00::/8
  bool is_broadcast() const noexcept;  // 255.255.255.255 only: a subnet's is not knowable here

  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) noexcept = default;
};

struct Endpoint {
  IpAddress address{};
  std::uint16_t port = 0;
  std::uint32_t scope = 0;  // interface index of a link-local IPv6 address, else 0

  friend constexpr auto operator<=>(const Endpoint&, const Endpoint&) noexcept = default;
};

// The IPv4 address that an IPv4-mapped IPv6 one stands for (RFC 4291 section 2.5.5.2); any other
// address as it is.
IpAddress unmapped(const IpAddress& address) noexcept;

// Numeric text only; names are the resolver's. Empty when it is not an address.
std::optional<IpAddress> parse_ip(std::string_view text);

// "192.0.2.1", "192.0.2.1:123", "[2001:db8::1]", "[2001:db8::1]:123", "2001:db8::1" (no port);
// the port is `default_port` where none is written. Port 0 is accepted: the kernel chooses.
std::optional<Endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port);

std::string to_string(const IpAddress& address);
std::string to_string(const Endpoint& endpoint);  // "192.0.2.1:123", "[2001:db8::1]:123"

}  // namespace ntp

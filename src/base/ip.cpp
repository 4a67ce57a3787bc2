#include "base/ip.h"

#include <arpa/inet.h>  // inet_pton, inet_ntop: pure text conversions, no system call

#include <algorithm>
#include <charconv>

namespace ntp {

bool IpAddress::is_unspecified() const noexcept {
  return std::ranges::all_of(octets, [](std::uint8_t octet) { return octet == 0; });
}

bool IpAddress::is_loopback() const noexcept {
  if (is_v4()) return octets[0] == 127;
  return octets[15] == 1 && std::all_of(octets.begin(), octets.end() - 1,
                                        [](std::uint8_t octet) { return octet == 0; });
}

bool IpAddress::is_multicast() const noexcept {
  return is_v4() ? (octets[0] & 0xf0) == 0xe0 : octets[0] == 0xff;
}

bool IpAddress::is_broadcast() const noexcept {
  return is_v4() && std::all_of(octets.begin(), octets.begin() + 4,
                                [](std::uint8_t octet) { return octet == 0xff; });
}

IpAddress unmapped(const IpAddress& address) noexcept {
  constexpr std::array<std::uint8_t, 12> kPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const auto& octets = address.octets;
  if (address.is_v4() || !std::equal(kPrefix.begin(), kPrefix.end(), octets.begin())) {
    return address;
  }
  return IpAddress::v4(octets[12], octets[13], octets[14], octets[15]);
}

std::optional<IpAddress> parse_ip(std::string_view text) {
  if (text.find('\0') != text.npos) return std::nullopt;  // inet_pton would stop there, content
  const std::string copy(text);
  IpAddress address;
  if (inet_pton(AF_INET, copy.c_str(), address.octets.data()) == 1) return address;
  address.family = IpAddress::Family::v6;
  if (inet_pton(AF_INET6, copy.c_str(), address.octets.data()) == 1) return address;
  return std::nullopt;
}

namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

}  // namespace

std::optional<Endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port) {
  std::string_view host = text;
  std::optional<std::uint16_t> port = default_port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    host = text.substr(1, close - 1);
    const auto rest = text.substr(close + 1);
    if (!rest.empty()) {
      if (rest.front() != ':') return std::nullopt;
      port = parse_port(rest.substr(1));
    }
    if (host.find(':') == std::string_view::npos) return std::nullopt;  // brackets are for IPv6
  } else if (std::ranges::count(text, ':') == 1) {
    const auto colon = text.find(':');
    host = text.substr(0, colon);
    port = parse_port(text.substr(colon + 1));
  }
  const auto address = parse_ip(host);
  if (!address || !port) return std::nullopt;
  return Endpoint{.address = *address, .port = *port};
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(address.is_v4() ? AF_INET : AF_INET6, address.octets.data(), text, sizeof text);
  return text;
}

std::string to_string(const Endpoint& endpoint) {
  const std::string host = to_string(endpoint.address);
  const std::string port = std::to_string(endpoint.port);
  return endpoint.address.is_v4() ? host + ":" + port : "[" + host + "]:" + port;
}

}  // namespace ntp

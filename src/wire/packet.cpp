#include "wire/packet.h"

#include <new>

#include "base/bytes.h"

namespace ntp::wire {
namespace {

constexpr std::size_t kMinFieldSize = 16;  // RFC 7822 section 7.5
// RFC 7822 section 7.5.1.2: the last field of a packet without MAC has at least 28 octets, so that
// whatever is shorter than that can only be a MAC: a key id and a digest of at most 20 octets.
constexpr std::size_t kMaxMacSize = 24;
constexpr int kFirstVersionWithFields = 4;

bool is_nts_field(std::uint16_t type) noexcept {
  return type == kUniqueIdentifier || type == kNtsCookie || type == kNtsCookiePlaceholder ||
         type == kNtsAuthenticator;
}

bool is_mac_size(std::size_t size) noexcept { return size == 4 || size == 20 || size == 24; }

}  // namespace

std::expected<Packet, ParseError> parse_packet(std::span<const std::byte> bytes) noexcept {
  std::expected<Packet, ParseError> packet;
  if (const auto parsed = parse_packet(bytes, *packet); !parsed) {
    packet = std::unexpected(parsed.error());
  }
  return packet;
}

std::expected<void, ParseError> parse_packet(std::span<const std::byte> bytes,
                                             Packet& to) noexcept {
  if (bytes.size() < kHeaderSize || bytes.size() > kMaxPacketSize || bytes.size() % 4 != 0) {
    return std::unexpected(ParseError::length);
  }
  Packet& packet = *::new (&to) Packet{.header = parse_header(bytes.first<kHeaderSize>())};
  auto rest = bytes.subspan(kHeaderSize);
  while (rest.size() > kMaxMacSize) {
    if (packet.header.version < kFirstVersionWithFields) {
      return std::unexpected(ParseError::extension);
    }
    ByteReader in(rest);
    const auto type = in.read<std::uint16_t>();
    const auto length = in.read<std::uint16_t>();
    if (length < kMinFieldSize || length % 4 != 0 || length > rest.size()) {
      return std::unexpected(ParseError::extension);
    }
    packet.has_nts_field = packet.has_nts_field || is_nts_field(type);
    rest = rest.subspan(length);
  }
  packet.fields = bytes.subspan(kHeaderSize, bytes.size() - kHeaderSize - rest.size());
  if (!rest.empty() && !is_mac_size(rest.size())) return std::unexpected(ParseError::mac);
  packet.mac = rest;
  return {};
}

}  // namespace ntp::wire

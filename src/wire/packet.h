// A whole NTP datagram: header, extension fields (RFC 7822), message authentication code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "wire/header.h"

namespace ntp::wire {

// The longest datagram that is looked at: nothing longer crosses an Ethernet unfragmented.
inline constexpr std::size_t kMaxPacketSize = 1500;

// Extension field types of NTS (RFC 8915 section 7.5). Their presence makes a packet an NTS packet.
inline constexpr std::uint16_t kUniqueIdentifier = 0x0104;
inline constexpr std::uint16_t kNtsCookie = 0x0204;
inline constexpr std::uint16_t kNtsCookiePlaceholder = 0x0304;
inline constexpr std::uint16_t kNtsAuthenticator = 0x0404;

enum class ParseError : std::uint8_t {
  length,     // shorter than a header, longer than kMaxPacketSize, or not a multiple of 4
  extension,  // a field's length is below 16, unaligned, or past the end; fields before version 4
  mac,        // what is left is neither nothing, nor a field, nor a MAC of a known size
};

struct Packet {
  Header header;
  std::span<const std::byte> fields{};  // all extension fields, whole and well-formed
  std::span<const std::byte> mac{};     // empty, 4 (crypto-NAK), 20 or 24 octets: key id and digest
  bool has_nts_field = false;
};

// Spans of the result point into `bytes`. Bodies of fields are never read.
std::expected<Packet, ParseError> parse_packet(std::span<const std::byte> bytes) noexcept;
// In its place: on the packet path, to copy what was just written takes longer than to parse it.
std::expected<void, ParseError> parse_packet(std::span<const std::byte> bytes, Packet& to) noexcept;

}  // namespace ntp::wire

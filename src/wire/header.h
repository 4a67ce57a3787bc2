// The NTP header of 48 octets (RFC 5905 section 7.3, figure 8) as a value, and back to bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/time.h"

namespace ntp::wire {

inline constexpr std::size_t kHeaderSize = 48;

// Leap indicator (RFC 5905 figure 9). `unknown` also means: the clock is not synchronised.
enum class Leap : std::uint8_t { none = 0, insert = 1, remove = 2, unknown = 3 };

// Association modes (RFC 5905 figure 10).
enum class Mode : std::uint8_t {
  reserved = 0,
  symmetric_active = 1,
  symmetric_passive = 2,
  client = 3,
  server = 4,
  broadcast = 5,
  control = 6,
  private_use = 7,
};

struct Header {
  Leap leap = Leap::none;
  std::uint8_t version = 4;
  Mode mode = Mode::client;
  std::uint8_t stratum = 0;   // 0 on the wire stands for unsynchronised (16 inside) or a kiss code
  std::int8_t poll = 0;       // log2 seconds
  std::int8_t precision = 0;  // log2 seconds
  NtpShort root_delay{};
  NtpShort root_dispersion{};
  std::uint32_t refid = 0;  // network order read as a number: "LOCL" is 0x4c4f434c
  NtpTimestamp reftime{};
  NtpTimestamp org{};
  NtpTimestamp rec{};
  NtpTimestamp xmt{};

  friend bool operator==(const Header&, const Header&) = default;
};

// Every combination of 48 octets is a header; what it means is for others to judge.
Header parse_header(std::span<const std::byte, kHeaderSize> bytes) noexcept;

// version is 0-7; parse_header(encode(h)) == h for every such h.
void encode_header(const Header& header, std::span<std::byte, kHeaderSize> out) noexcept;

// The four ASCII letters of a reference identifier or kiss code.
constexpr std::uint32_t refid_of(const char (&text)[5]) noexcept {
  std::uint32_t id = 0;
  for (int i = 0; i < 4; ++i) id = (id << 8) | static_cast<std::uint8_t>(text[i]);
  return id;
}

}  // namespace ntp::wire

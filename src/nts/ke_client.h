// The client's side of NTS key establishment (RFC 8915 section 4): the one request, and what a
// server's answer says. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nts/ke_record.h"

namespace ntp::nts {

inline constexpr std::size_t kMaxKeRequest = 32;
// Cookies are opaque; one that a request with eight of them could not carry is of no use.
inline constexpr std::size_t kMaxForeignCookie = 256;
inline constexpr std::size_t kCookiesKept = 8;

// What we offer, best first: GCM-SIV (with chrony's record 1024) where there is, SIV-CMAC-256.
// Returns the size.
std::size_t write_ke_request(std::span<std::byte, kMaxKeRequest> out) noexcept;

enum class KeFailure : std::uint8_t {
  need_more,         // no end of the message yet
  too_long,          // over kMaxKeMessage without an end
  malformed,         // a record that breaks the rules of section 4.1, or a needed one is missing
  trailing_data,     // octets after the end
  unknown_critical,  // a critical record that we do not know
  error,             // an Error record: `code` says which
  no_protocol,       // the server does not do NTPv4
  no_aead,           // none in common, or one that was not offered
  no_cookies,        // not one that can be used
  bad_server,        // a name that is none: empty, over 255 octets, or not printable ASCII
  bad_port,          // 0, or not two octets
};
std::string_view words(KeFailure failure) noexcept;

struct KeRefusal {
  KeFailure reason = KeFailure::need_more;
  std::uint16_t code = 0;  // of an Error record

  friend bool operator==(const KeRefusal&, const KeRefusal&) = default;
};

struct KeAnswer {
  KeAgreement agreement{};
  std::vector<std::vector<std::byte>> cookies{};  // 1 to kCookiesKept, each a multiple of 4 long
  std::string server{};                           // empty: the one that was asked
  std::optional<std::uint16_t> port{};            // nothing: 123
  std::vector<std::uint16_t> warnings{};          // codes, at most 8
};

// `message` is everything since the handshake; called again with more while it says need_more.
std::expected<KeAnswer, KeRefusal> parse_ke_answer(std::span<const std::byte> message);

}  // namespace ntp::nts

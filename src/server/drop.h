// Why a datagram got no answer. Every enumerator is a counter and a metric label.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ntp::server {

enum class Drop : std::uint8_t {
  too_short,    // under 48 octets
  too_long,     // over 1,500 octets, or truncated by the kernel
  bad_length,   // not a multiple of 4
  bad_version,  // version 0, 5, 6, 7
  bad_mode,     // neither client nor symmetric active (nor version 1 mode 0)
  to_many,     // sent to a broadcast or multicast address: one forged packet, answers from everyone
  bad_source,  // port 0, our own endpoint, multicast, broadcast, unspecified, stray loopback
  denied,      // by the access lists
  malformed_extension,  // RFC 7822 field lengths
  malformed_mac,        // neither 20 nor 24 octets; a crypto-NAK
  unknown_key,          // a MAC whose key this server does not have, or not for this client
  nts_disabled,         // an NTS field while NTS is off
  bad_mac,              // a MAC that its key does not make of this packet
  malformed_nts,        // RFC 8915 section 5: an NTS request that lacks something or has it twice
  over_limit,           // more than an address is answered
};

inline constexpr std::array<std::string_view, 15> kDropLabels = {
    "too_short",   "too_long",     "bad_length", "bad_version",         "bad_mode",
    "to_many",     "bad_source",   "denied",     "malformed_extension", "malformed_mac",
    "unknown_key", "nts_disabled", "bad_mac",    "malformed_nts",       "over_limit"};
inline constexpr std::size_t kDropCount = kDropLabels.size();
static_assert(kDropCount == static_cast<std::size_t>(Drop::over_limit) + 1);

constexpr std::string_view label(Drop drop) noexcept {
  return kDropLabels[static_cast<std::size_t>(drop)];
}

}  // namespace ntp::server

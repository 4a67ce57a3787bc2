// A range of addresses as networks have them: 192.0.2.0/24, 2001:db8::/32.
#pragma once

#include <compare>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/ip.h"

namespace ntp {

// The first `length` bits of `address` say what belongs to it; the others are zero.
struct Prefix {
  IpAddress address{};
  std::uint8_t length = 0;

  bool contains(const IpAddress& other) const noexcept;

  friend constexpr auto operator<=>(const Prefix&, const Prefix&) noexcept = default;
};

enum class PrefixError : std::uint8_t {
  not_a_prefix,
  too_long,   // over 32 or 128 bits
  host_bits,  // bits behind the length are set: is it the address or its network that is meant?
};

// The address with every bit behind the first `length` cleared.
IpAddress masked(IpAddress address, unsigned length) noexcept;

// "192.0.2.0/24", "2001:db8::/32", or an address alone, which is then all there is of the prefix.
std::expected<Prefix, PrefixError> parse_prefix(std::string_view text);

std::string to_string(const Prefix& prefix);  // always with its length

}  // namespace ntp

#include "base/prefix.h"

#include <charconv>

namespace ntp {
namespace {

constexpr unsigned bits_of(const IpAddress& address) { return address.is_v4() ? 32 : 128; }

}  // namespace

IpAddress masked(IpAddress address, unsigned length) noexcept {
  for (unsigned i = 0; i < address.octets.size(); ++i) {
    const unsigned kept = length <= 8 * i ? 0 : length - 8 * i;
    if (kept >= 8) continue;
    address.octets[i] = static_cast<std::uint8_t>(address.octets[i] & (0xff00 >> kept));
  }
  return address;
}

bool Prefix::contains(const IpAddress& other) const noexcept {
  return other.family == address.family && masked(other, length) == address;
}

std::expected<Prefix, PrefixError> parse_prefix(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_ip(text.substr(0, slash));
  if (!address) return std::unexpected(PrefixError::not_a_prefix);
  unsigned length = bits_of(*address);
  if (slash != std::string_view::npos) {
    const auto digits = text.substr(slash + 1);
    const bool leads_with_zero = digits.size() > 1 && digits[0] == '0';
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc{} || end != digits.data() + digits.size() || leads_with_zero) {
      return std::unexpected(error == std::errc::result_out_of_range ? PrefixError::too_long
                                                                     : PrefixError::not_a_prefix);
    }
  }
  if (length > bits_of(*address)) return std::unexpected(PrefixError::too_long);
  if (masked(*address, length) != *address) return std::unexpected(PrefixError::host_bits);
  return Prefix{.address = *address, .length = static_cast<std::uint8_t>(length)};
}

std::string to_string(const Prefix& prefix) {
  return to_string(prefix.address) + "/" + std::to_string(prefix.length);
}

}  // namespace ntp

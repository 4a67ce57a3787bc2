// The reference identifier as people write it. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace ntp::control {

// Letters for stratum 0 and 1 and for LOCL ("GPS"; anything but visible ASCII is left as hex),
// else the dotted quad (RFC 5905 figure 12: an IPv4 address, or the hash of an IPv6 one).
std::string refid_text(std::uint32_t refid, int stratum);

}  // namespace ntp::control

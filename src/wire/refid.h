// The reference identifier that an address has in NTP (RFC 5905 section 7.3): by it a server that
// is synchronised to us is recognised.
#pragma once

#include <cstdint>

#include "base/ip.h"

namespace ntp::wire {

// An IPv4 address as a number; the first four octets of the MD5 hash of an IPv6 one. The hash
// protects nothing here, it only shortens.
std::uint32_t refid_of(const IpAddress& address) noexcept;

}  // namespace ntp::wire

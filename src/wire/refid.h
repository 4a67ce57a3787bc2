// A reference identifier as people read it (RFC 5905 section 7.3).
#pragma once

#include <cstdint>
#include <string>

namespace ntp::wire {

// Stratum 0 and 1: the letters (".GPS." is written "GPS"). Above: an IPv4 address, unless it is
// the four letters LOCL of a local clock. Octets that are no letters are written as \xNN.
std::string refid_text(std::uint32_t refid, int stratum);

}  // namespace ntp::wire

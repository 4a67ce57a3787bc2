#include "wire/refid.h"

#include <fmt/format.h>

#include "wire/header.h"

namespace ntp::wire {

std::string refid_text(std::uint32_t refid, int stratum) {
  if (stratum > 1 && refid != refid_of("LOCL")) {
    return fmt::format("{}.{}.{}.{}", refid >> 24, (refid >> 16) & 255, (refid >> 8) & 255,
                       refid & 255);
  }
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    const auto octet = static_cast<unsigned char>(refid >> shift);
    if (octet == 0) continue;
    text += octet > 0x20 && octet < 0x7f ? std::string(1, static_cast<char>(octet))
                                         : fmt::format("\\x{:02x}", octet);
  }
  return text;
}

}  // namespace ntp::wire

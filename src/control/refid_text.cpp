#include "control/refid_text.h"

#include <fmt/format.h>

#include <string_view>

#include "server/state.h"

namespace ntp::control {

std::string refid_text(std::uint32_t refid, int stratum) {
  if (stratum > 1 && refid != server::kRefidLocal) {
    return fmt::format("{}.{}.{}.{}", refid >> 24, (refid >> 16) & 0xff, (refid >> 8) & 0xff,
                       refid & 0xff);
  }
  std::string letters;
  for (int shift = 24; shift >= 0; shift -= 8) letters += static_cast<char>(refid >> shift);
  while (!letters.empty() && letters.back() == '\0') letters.pop_back();  // padded with zeros
  const bool visible = letters.find_first_not_of(
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                           "!#$%&()*+,-./:;<=>?@[]^_{|}~ ") == std::string::npos;
  return visible ? letters : fmt::format("0x{:08x}", refid);
}

}  // namespace ntp::control

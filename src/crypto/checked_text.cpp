#include "crypto/checked_text.h"

#include <array>
#include <span>

#include "base/hex.h"
#include "crypto/hkdf.h"

namespace ntp::crypto {

std::string text_checksum(std::string_view body) {
  std::array<std::byte, 8> sum{};
  hkdf_sha256(std::as_bytes(std::span(body)), {}, {}, sum);
  return to_hex(sum);
}

}  // namespace ntp::crypto

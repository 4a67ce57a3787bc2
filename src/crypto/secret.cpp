#include "crypto/secret.h"

#include <nettle/memops.h>

namespace ntp::crypto {

void wipe(std::span<std::byte> bytes) noexcept {
  if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());
}

bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b) noexcept {
  if (a.size() != b.size()) return false;
  return a.empty() || memeql_sec(a.data(), b.data(), a.size()) != 0;
}

}  // namespace ntp::crypto

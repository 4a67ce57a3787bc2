#include "crypto/secret.h"

#include <nettle/memops.h>

#include <array>

namespace ntp::crypto {

void wipe(std::span<std::byte> bytes) noexcept {
  if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());
}

[[gnu::noinline]] void wipe_stack() noexcept {
  std::array<std::byte, 8192> below;
  ::explicit_bzero(below.data(), below.size());
}

bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b) noexcept {
  if (a.size() != b.size()) return false;
  return a.empty() || memeql_sec(a.data(), b.data(), a.size()) != 0;
}

}  // namespace ntp::crypto

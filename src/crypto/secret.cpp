#include "crypto/secret.h"

#include <nettle/memops.h>

#include <array>

#include "base/few.h"

namespace ntp::crypto {

void wipe(std::span<std::byte> bytes) noexcept {
  if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());
}

// What proves eight requests at once goes 12 KiB deep (nts/request.cpp).
[[gnu::noinline]] void wipe_stack() noexcept {
  NTP_UNINITIALIZED std::array<std::byte, 16'384> below;
  ::explicit_bzero(below.data(), below.size());
}

bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b) noexcept {
  if (a.size() != b.size()) return false;
  return a.empty() || memeql_sec(a.data(), b.data(), a.size()) != 0;
}

}  // namespace ntp::crypto

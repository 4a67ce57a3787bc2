// Keys made of a secret (RFC 5869, with SHA-256).
#pragma once

#include <cstddef>
#include <span>

namespace ntp::crypto {

// Fills `out` (at most 255 × 32 octets). The same secret, salt and info give the same octets.
void hkdf_sha256(std::span<const std::byte> secret, std::span<const std::byte> salt,
                 std::span<const std::byte> info, std::span<std::byte> out) noexcept;

}  // namespace ntp::crypto

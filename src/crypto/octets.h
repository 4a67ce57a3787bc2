// Our octets as the library wants them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ntp::crypto {

inline const std::uint8_t* raw(std::span<const std::byte> bytes) noexcept {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}
inline std::uint8_t* raw(std::span<std::byte> bytes) noexcept {
  return reinterpret_cast<std::uint8_t*>(bytes.data());
}

}  // namespace ntp::crypto

// Octets as published vectors write them. For tests.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ntp::crypto {

// Blanks are for the eye only.
inline std::vector<std::byte> from_hex(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (c != ' ') digits.push_back(c);
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

inline std::string to_hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte octet : bytes) {
    text.push_back(kDigits[std::to_integer<unsigned>(octet) >> 4]);
    text.push_back(kDigits[std::to_integer<unsigned>(octet) & 15]);
  }
  return text;
}

}  // namespace ntp::crypto

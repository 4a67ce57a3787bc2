// Octets as hexadecimal digits, small letters.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ntp {

// Of a secret: into a text that has the room, so that no copy of it is left behind.
inline void append_hex(std::string& text, std::span<const std::byte> octets) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const std::byte octet : octets) {
    text += kDigits[std::to_integer<std::size_t>(octet >> 4)];
    text += kDigits[std::to_integer<std::size_t>(octet & std::byte{15})];
  }
}

inline std::string to_hex(std::span<const std::byte> octets) {
  std::string text;
  text.reserve(octets.size() * 2);
  append_hex(text, octets);
  return text;
}

// Nothing where a digit is none, or one is left over.
inline std::optional<std::vector<std::byte>> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::vector<std::byte> octets;
  octets.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    octets.push_back(static_cast<std::byte>(high * 16 + low));
  }
  return octets;
}

}  // namespace ntp

// What the texts of the state directory have in common: a checksum as their last line, and numbers.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

namespace ntp::crypto {

// Sixteen hexadecimal digits. It finds what is torn or garbled; whoever can write can make another.
std::string text_checksum(std::string_view body);

// The whole text is the number, in decimal digits.
template <typename Number>
bool read_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace ntp::crypto

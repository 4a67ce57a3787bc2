// An input as a supply of numbers, for targets that are asked with values instead of octets.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "check.h"

namespace ntp::fuzz {

// Takes values off the front of the input; zeros when it is used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }

  template <typename T>
  T take() {
    T value{};
    const std::size_t n = std::min(size_, sizeof value);
    if (n > 0) std::memcpy(&value, data_, n);
    data_ += n;
    size_ -= n;
    return value;
  }
  // From [0, below).
  std::uint64_t take_below(std::uint64_t below) { return take<std::uint64_t>() % below; }
  bool take_bool() { return (take<std::uint8_t>() & 1) != 0; }
  // Up to the next NUL, which is taken too.
  std::string_view take_text() {
    const auto rest = text_of(data_, size_);
    const auto text = rest.substr(0, rest.find('\0'));
    const std::size_t n = std::min(size_, text.size() + 1);
    data_ += n;
    size_ -= n;
    return text;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

}  // namespace ntp::fuzz

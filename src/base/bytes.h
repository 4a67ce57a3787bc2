// Big-endian reading and writing of network bytes. No allocation, no exception, no undefined read.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace ntp {

// Into the first octets of `to`, which has the room. With the checks of the standard library on,
// std::ranges::copy() goes octet by octet.
inline void copy_octets(std::span<const std::byte> from, std::span<std::byte> to) noexcept {
  const auto room = to.first(from.size());
  if (!from.empty()) std::memcpy(room.data(), from.data(), from.size());
}

// Reads from the front of a packet. The first read past the end makes the reader fail for good:
// it then yields zeros, so a whole group of fields can be read before ok() is asked once.
class ByteReader {
 public:
  explicit constexpr ByteReader(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  template <std::unsigned_integral T>
  constexpr T read() noexcept {
    if (rest_.size() < sizeof(T)) {
      fail();
      return 0;
    }
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value = static_cast<T>((value << (sizeof(T) > 1 ? 8 : 0)) | std::to_integer<T>(rest_[i]));
    }
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }

  // The next `size` octets, or an empty span and failure.
  constexpr std::span<const std::byte> take(std::size_t size) noexcept {
    if (rest_.size() < size) {
      fail();
      return {};
    }
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }

  constexpr std::size_t remaining() const noexcept { return rest_.size(); }
  constexpr bool ok() const noexcept { return ok_; }

 private:
  constexpr void fail() noexcept {
    ok_ = false;
    rest_ = {};
  }

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

// Writes to the front of a buffer of the caller. A write that does not fit changes nothing and
// makes the writer fail for good.
class ByteWriter {
 public:
  explicit constexpr ByteWriter(std::span<std::byte> buffer) noexcept : buffer_(buffer) {}

  template <std::unsigned_integral T>
  constexpr void write(T value) noexcept {
    if (!ok_ || buffer_.size() - size_ < sizeof(T)) {
      ok_ = false;
      return;
    }
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      buffer_[size_ + i] = static_cast<std::byte>(value >> (8 * (sizeof(T) - 1 - i)));
    }
    size_ += sizeof(T);
  }

  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool ok() const noexcept { return ok_; }

 private:
  std::span<std::byte> buffer_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace ntp

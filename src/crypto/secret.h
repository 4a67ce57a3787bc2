// Memory for secrets: a fixed size, wiped when it goes out of use.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include "base/bytes.h"
#include "base/check.h"

namespace ntp::crypto {

// Overwrites in a way that no optimiser takes away.
void wipe(std::span<std::byte> bytes) noexcept;

// The same without a call, of what is small: as far as the compiler knows, somebody looks at it.
template <std::size_t kSize>
  requires(kSize <= 96)
void wipe(std::array<std::byte, kSize>& bytes) noexcept {
  bytes.fill({});
  asm volatile("" : : "r"(bytes.data()) : "memory");
}

template <typename T>
void wipe_object(T& object) noexcept {
  wipe(std::as_writable_bytes(std::span(&object, 1)));
}

// What functions that have returned left on this thread's stack: the compiler puts round keys there
// as it likes. To be called by whoever called those that compute with keys.
void wipe_stack() noexcept;

// True when both are the same octets. Takes as long for the first difference as for the last one;
// lengths are no secret.
bool equal_in_constant_time(std::span<const std::byte> a, std::span<const std::byte> b) noexcept;

// Up to kCapacity octets. Copies are secrets as well and wiped as well.
template <std::size_t kCapacity>
class SecretBytes {
 public:
  SecretBytes() noexcept = default;
  explicit SecretBytes(std::span<const std::byte> bytes) noexcept { assign(bytes); }
  SecretBytes(const SecretBytes&) noexcept = default;
  SecretBytes& operator=(const SecretBytes&) noexcept = default;
  ~SecretBytes() { wipe(bytes_); }

  // What was there before is gone. `bytes` is no longer than the capacity.
  void assign(std::span<const std::byte> bytes) noexcept {
    NTP_CHECK(bytes.size() <= kCapacity);
    wipe(bytes_);
    copy_octets(bytes, bytes_);
    size_ = bytes.size();
  }
  // Zeros, for others to fill in.
  std::span<std::byte> resize(std::size_t size) noexcept {
    NTP_CHECK(size <= kCapacity);
    wipe(bytes_);
    size_ = size;
    return std::span(bytes_).first(size);
  }
  void clear() noexcept { resize(0); }

  std::span<const std::byte> view() const noexcept { return std::span(bytes_).first(size_); }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  friend bool operator==(const SecretBytes& a, const SecretBytes& b) noexcept {
    return equal_in_constant_time(a.view(), b.view());
  }

 private:
  std::array<std::byte, kCapacity> bytes_{};
  std::size_t size_ = 0;
};

}  // namespace ntp::crypto

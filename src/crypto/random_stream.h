// Unpredictable octets without a system call: nonces of cookies and replies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ntp::crypto {

// ChaCha20 as a generator that forgets: each refill replaces its key, so that who steals it learns
// nothing of what it gave before. The same seed gives the same octets; the program's seeds come
// from the kernel. Not thread-safe: each worker has one.
class RandomStream {
 public:
  static constexpr std::size_t kSeedSize = 32;
  using Seed = std::array<std::byte, kSeedSize>;

  explicit RandomStream(const Seed& seed) noexcept;
  RandomStream(const RandomStream&) = delete;  // two of them would give the same octets
  RandomStream& operator=(const RandomStream&) = delete;
  ~RandomStream();

  void fill(std::span<std::byte> out) noexcept;

 private:
  void refill() noexcept;

  Seed key_;
  std::array<std::byte, 992> ready_{};
  std::size_t used_ = sizeof(ready_);
};

}  // namespace ntp::crypto

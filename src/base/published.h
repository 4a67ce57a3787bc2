// One writer, many readers, one small value: the newest copy, never a torn one.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace ntp {

// A sequence lock over atomic words (so that it is free of data races by the language's rules as
// well). publish() may be called by one thread at a time and never waits; read() retries while a
// publish is under way, which is a few nanoseconds, and takes no lock.
template <typename T>
  requires std::is_trivially_copyable_v<T>
class Published {
 public:
  explicit Published(const T& first) noexcept { publish(first); }
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

  void publish(const T& value) noexcept {
    std::array<std::uint64_t, kWords> words{};
    std::memcpy(words.data(), &value, sizeof value);
    const auto sequence = sequence_.load(std::memory_order_relaxed);
    sequence_.store(sequence + 1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_release);
    sequence_.store(sequence + 2, std::memory_order_release);
  }

  T read() const noexcept {
    std::array<std::uint64_t, kWords> words;
    for (;;) {
      const auto before = sequence_.load(std::memory_order_acquire);
      for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_acquire);
      if (before % 2 == 0 && sequence_.load(std::memory_order_relaxed) == before) break;
    }
    T value;
    std::memcpy(static_cast<void*>(&value), words.data(), sizeof value);
    return value;
  }

 private:
  static constexpr std::size_t kWords = (sizeof(T) + 7) / 8;

  std::atomic<std::uint64_t> sequence_{0};
  std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

}  // namespace ntp

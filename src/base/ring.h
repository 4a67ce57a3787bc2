// A bounded queue between exactly one producer thread and one consumer thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <optional>

namespace ntp {

// push() never waits and never allocates: when the ring is full the value is dropped and counted.
template <typename T, std::size_t kCapacity>
class SpscRing {
  static_assert((kCapacity & (kCapacity - 1)) == 0, "the capacity is a power of two");

 public:
  void push(const T& value) noexcept {
    const auto head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) == kCapacity) {
      dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return;
    }
    slots_[head % kCapacity] = value;
    head_.store(head + 1, std::memory_order_release);
  }

  std::optional<T> pop() noexcept {
    const auto tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_.load(std::memory_order_acquire)) return std::nullopt;
    T value = slots_[tail % kCapacity];
    tail_.store(tail + 1, std::memory_order_release);
    return value;
  }

  std::size_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 private:
  std::array<T, kCapacity> slots_{};
  alignas(64) std::atomic<std::size_t> head_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
  std::atomic<std::size_t> dropped_{0};
};

}  // namespace ntp

#include "base/memory.h"

#include <atomic>
#include <cstdlib>

namespace ntp {
namespace {

// Large enough that the C library gives it back to the kernel, and for the largest page over HTTP.
constexpr std::size_t kReserve = std::size_t{512} * 1024;

std::atomic<void*> reserve{nullptr};
std::atomic<std::uint64_t> used{0};

void on_shortage() {
  void* block = reserve.exchange(nullptr, std::memory_order_relaxed);
  if (block == nullptr) throw std::bad_alloc();
  used.fetch_add(1, std::memory_order_relaxed);
  std::free(block);
}

}  // namespace

void MemoryReserve::begin() noexcept {
  std::set_new_handler(on_shortage);
  refill();
}

bool MemoryReserve::refill() noexcept {
  if (reserve.load(std::memory_order_relaxed) != nullptr) return true;
  void* block = std::malloc(kReserve);
  if (block == nullptr) return false;
  void* nothing = nullptr;
  if (!reserve.compare_exchange_strong(nothing, block, std::memory_order_relaxed)) std::free(block);
  return true;
}

std::uint64_t MemoryReserve::times_used() noexcept { return used.load(std::memory_order_relaxed); }

}  // namespace ntp

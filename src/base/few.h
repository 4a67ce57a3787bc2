// Up to kMost of something, in place: nothing is made before it is there, and nothing is allocated.
// (A std::optional of something large is set to zero as a whole, whatever is asked for.)
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "base/check.h"

// Of a variable which the compiler, told to set all of them to zero, is to leave alone: it is
// large, on the packet path, and read only where it was written.
#define NTP_UNINITIALIZED __attribute__((uninitialized))

namespace ntp {

template <typename T, std::size_t kMost>
class Few {
 public:
  Few() noexcept {}
  Few(const Few&) = delete;  // others point at what is in it
  Few& operator=(const Few&) = delete;
  ~Few() { clear(); }

  // There is room.
  template <typename... Parts>
  T& add(Parts&&... parts) noexcept {
    if (is_full()) [[unlikely]]
      has_no_room();
    return *std::construct_at(&items_[size_++], std::forward<Parts>(parts)...);
  }
  void clear() noexcept {
    std::destroy_n(items_, size_);
    size_ = 0;
  }

  bool is_full() const noexcept { return size_ >= kMost; }
  std::size_t size() const noexcept { return size_; }
  std::span<T> all() noexcept { return {items_, size_}; }
  T& operator[](std::size_t i) noexcept { return all()[i]; }

 private:
  // Once, and not at every place where something is added.
  [[noreturn, gnu::noinline]] static void has_no_room() noexcept {
    check_failed(__FILE_NAME__, __LINE__, "!is_full()");
  }

  std::size_t size_ = 0;
  union {
    T items_[kMost];
  };
};

}  // namespace ntp

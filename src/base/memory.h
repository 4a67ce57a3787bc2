// What to do where memory runs out: use a reserve, put off what was being done, go on serving.
#pragma once

#include <cstdint>
#include <new>

namespace ntp {

// Whether `work` ended without running out of memory. What it has done by then stays done.
template <typename Work>
bool within_memory(Work&& work) {
  try {
    work();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// One block that nobody uses. The first time that operator new finds no memory, in any thread, it
// is given back and new tries again: what is under way then can end. Libraries that are not proof
// against std::bad_alloc (nlohmann::json) are used only while the reserve is whole.
class MemoryReserve {
 public:
  static void begin() noexcept;                // sets the new-handler
  static bool refill() noexcept;               // whether it is whole (again)
  static std::uint64_t times_used() noexcept;  // since the start
};

}  // namespace ntp

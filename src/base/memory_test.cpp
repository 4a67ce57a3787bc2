#include "base/memory.h"

#include <gtest/gtest.h>

namespace ntp {
namespace {

TEST(Memory, TheReserveServesOneShortageAndIsThenMadeAnew) {
  MemoryReserve::begin();
  const auto shortage = std::get_new_handler();
  ASSERT_NE(shortage, nullptr);
  for (std::uint64_t round = 1; round <= 3; ++round) {
    shortage();
    EXPECT_EQ(MemoryReserve::times_used(), round);
    EXPECT_THROW(shortage(), std::bad_alloc);
    EXPECT_TRUE(MemoryReserve::refill());
  }
  std::set_new_handler(nullptr);
}

TEST(Memory, WorkThatLacksMemoryIsNoCrash) {
  EXPECT_TRUE(within_memory([] {}));
  EXPECT_FALSE(within_memory([] { throw std::bad_alloc(); }));
}

}  // namespace
}  // namespace ntp

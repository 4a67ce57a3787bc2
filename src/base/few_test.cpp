#include "base/few.h"

#include <gtest/gtest.h>

namespace ntp {
namespace {

struct Counted {
  explicit Counted(int& living) : count(&living) { ++living; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*count; }
  int* count;
};

TEST(Few, MakesWhatIsAddedAndNothingElse) {
  int living = 0;
  {
    Few<Counted, 3> few;
    EXPECT_EQ(few.size(), 0u);
    EXPECT_EQ(living, 0);
    few.add(living);
    few.add(living);
    EXPECT_FALSE(few.is_full());
    const Counted& third = few.add(living);
    EXPECT_EQ(&third, &few[2]);
    EXPECT_TRUE(few.is_full());
    EXPECT_EQ(living, 3);
    few.clear();
    EXPECT_EQ(living, 0);
    few.add(living);
    EXPECT_EQ(few.all().size(), 1u);
  }
  EXPECT_EQ(living, 0);
}

TEST(FewDeathTest, HasNoRoomForMore) {
  Few<int, 1> few;
  few.add(1);
  EXPECT_DEATH(few.add(2), "is_full");
}

}  // namespace
}  // namespace ntp

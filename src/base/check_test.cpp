#include "base/check.h"

#include <gtest/gtest.h>

namespace ntp {
namespace {

TEST(CheckDeathTest, ABrokenPromiseEndsTheProcessAndSaysWhichAndWhere) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(NTP_CHECK(1 + 1 == 3), testing::KilledBySignal(SIGABRT),
              "ntp-server: bug: check_test.cpp:[0-9]+: check failed: 1 \\+ 1 == 3");
}

TEST(Check, AKeptPromiseIsLookedAtOnce) {
  int looks = 0;
  NTP_CHECK(++looks == 1);
  EXPECT_EQ(looks, 1);
}

}  // namespace
}  // namespace ntp

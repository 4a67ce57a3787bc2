#include "wire/refid.h"

#include <gtest/gtest.h>

#include "wire/header.h"

namespace ntp::wire {
namespace {

TEST(RefidText, IsLettersForPrimaryServersAndAnAddressAbove) {
  EXPECT_EQ(refid_text(refid_of("RATE"), 0), "RATE");
  EXPECT_EQ(refid_text(0x47505300, 1), "GPS");
  EXPECT_EQ(refid_text(0x7f7f0001, 3), "127.127.0.1");
  EXPECT_EQ(refid_text(0x47505300, 2), "71.80.83.0");
  EXPECT_EQ(refid_text(refid_of("LOCL"), 10), "LOCL");
  EXPECT_EQ(refid_text(0, 0), "");
}

TEST(RefidText, NetworkOctetsCannotBreakALine) {
  EXPECT_EQ(refid_text(0x0a1b41ff, 1), "\\x0a\\x1bA\\xff");
}

}  // namespace
}  // namespace ntp::wire

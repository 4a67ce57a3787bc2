#include "config/suggest.h"

#include <gtest/gtest.h>

#include <array>

namespace ntp::config {
namespace {

constexpr std::array<std::string_view, 5> kNames{"stratum", "local_stratum", "listen", "threads",
                                                 "warning"};

TEST(EditDistance, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", ""), 3);
  EXPECT_EQ(edit_distance("listen", "lisen"), 1);
  EXPECT_EQ(edit_distance("lisen", "listen"), 1);
  EXPECT_EQ(edit_distance("format", "fromat"), 1);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(Nearest, ForgivesCaseHyphensAndSlips) {
  EXPECT_EQ(nearest("stratun", kNames), "stratum");
  EXPECT_EQ(nearest("STRATUM", kNames), "stratum");
  EXPECT_EQ(nearest("local-stratum", kNames), "local_stratum");
  EXPECT_EQ(nearest("thraeds", kNames), "threads");
  EXPECT_EQ(nearest("warn", kNames), "warning");
}

TEST(Nearest, DoesNotGuessWildly) {
  EXPECT_EQ(nearest("weather", kNames), "");
  EXPECT_EQ(nearest("", kNames), "");
  EXPECT_EQ(nearest("wa", kNames), "");
  EXPECT_EQ(nearest(std::string(100'000, 'x'), kNames), "");
  EXPECT_EQ(did_you_mean("weather", kNames), "");
  EXPECT_EQ(did_you_mean("lisen", kNames), "did you mean \"listen\"?");
}

}  // namespace
}  // namespace ntp::config

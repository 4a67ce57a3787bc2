#include "base/time.h"

#include <gtest/gtest.h>

#include <limits>

namespace ntp {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(NtpTimestamp, KnowsTheEpochsOfRfc5905Figure4) {
  EXPECT_EQ(NtpTimestamp::from(RealTime(seconds(0))).bits, 2'208'988'800ull << 32);
  EXPECT_EQ(NtpTimestamp::from(RealTime(seconds(-2'208'988'800))).bits, 0u) << "1900-01-01";
  EXPECT_EQ(NtpTimestamp::from(RealTime(seconds(2'085'978'496))).bits, 0u)
      << "era 1 begins in 2036";
  EXPECT_EQ(NtpTimestamp::from(RealTime(nanoseconds(-1))).bits >> 32, 2'208'988'799ull);
}

TEST(NtpTimestamp, DifferenceIsRightAcrossTheEra) {
  const RealTime turn{seconds(2'085'978'496)};
  const auto before = NtpTimestamp::from(turn - nanoseconds(1'500'000'000));
  const auto after = NtpTimestamp::from(turn + nanoseconds(500'000'000));
  EXPECT_DOUBLE_EQ(difference_s(after, before), 2.0);
  EXPECT_DOUBLE_EQ(difference_s(before, after), -2.0);
}

TEST(NtpTimestamp, ComesBackToTheNanosecondNearAnyPivot) {
  for (const std::int64_t s :
       {0ll, 1'790'000'000ll, 2'085'978'495ll, 2'085'978'496ll, 4'000'000'000ll}) {
    for (const std::int64_t ns : {0, 1, 499'999'999, 999'999'999}) {
      const RealTime time{seconds(s) + nanoseconds(ns)};
      for (const std::int64_t off_s : {-2'000'000'000ll, -1ll, 0ll, 1ll, 2'000'000'000ll}) {
        EXPECT_EQ(NtpTimestamp::from(time).near(time + seconds(off_s)), time) << s << ' ' << ns;
      }
    }
  }
}

TEST(NtpShort, RoundsErrorBoundsUpAndNeverDown) {
  EXPECT_EQ(NtpShort::rounded_up(0).bits, 0u);
  EXPECT_EQ(NtpShort::rounded_up(1e-9).bits, 1u);
  EXPECT_EQ(NtpShort::rounded_up(1.0).bits, 65536u);
  EXPECT_EQ(NtpShort::rounded_up(1.0 + 1e-9).bits, 65537u);
  EXPECT_EQ(NtpShort::rounded_up(1e9).bits, 0xffff'ffffu);
  EXPECT_EQ(NtpShort::rounded_up(-1).bits, 0u);
  EXPECT_EQ(NtpShort::rounded_up(std::numeric_limits<double>::infinity()).bits, 0xffff'ffffu);
}

}  // namespace
}  // namespace ntp

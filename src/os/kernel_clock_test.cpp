// What the kernel is asked for. adjtimex(2) is this program's own here: no clock is touched.
#include "os/kernel_clock.h"

#include <gtest/gtest.h>
#include <sys/timex.h>

#include <vector>

namespace {

std::vector<timex> asked;
int failure = 0;             // errno of the call
std::size_t fails_from = 0;  // of which call on

}  // namespace

extern "C" int adjtimex(timex* request) noexcept {
  asked.push_back(*request);
  if (failure != 0 && asked.size() > fails_from) {
    errno = failure;
    return -1;
  }
  return TIME_OK;
}

namespace ntp::os {
namespace {

using Kind = clock::Correction::Kind;

class KernelClock : public testing::Test {
 protected:
  void SetUp() override {
    asked.clear();
    failure = 0;
    fails_from = 0;
  }
};

// Seconds per second that the kernel is told: its ticks, and the frequency on top.
double rate_of(const timex& t) {
  return static_cast<double>(t.tick - 10'000) * 1e-4 + static_cast<double>(t.freq) / 65536e6;
}

TEST_F(KernelClock, GetsARateInFrequencyAloneUpToFiveHundredPpm) {
  for (const double rate : {0.0, 1e-9, 20e-6, -20e-6, 500e-6, -500e-6}) {
    asked.clear();
    ASSERT_TRUE(steer_kernel_clock({.rate = rate}, {}));
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].modes & (ADJ_FREQUENCY | ADJ_TICK), ADJ_FREQUENCY | ADJ_TICK);
    EXPECT_EQ(asked[0].tick, 10'000) << rate;
    EXPECT_NEAR(rate_of(asked[0]), rate, 1e-11);
  }
}

TEST_F(KernelClock, GetsALargerRateInTicksAndTheRestInFrequency) {
  for (const double rate : {501e-6, -501e-6, 1e-3, 1.2345e-3, -1.2345e-3, 0.05, -0.05}) {
    asked.clear();
    ASSERT_TRUE(steer_kernel_clock({.rate = rate}, {}));
    EXPECT_NE(asked.at(0).tick, 10'000) << rate;
    EXPECT_LE(std::abs(asked[0].freq), 500L << 16) << "the kernel cuts what is above";
    EXPECT_NEAR(rate_of(asked[0]), rate, 1e-11);
  }
  asked.clear();
  ASSERT_TRUE(steer_kernel_clock({.rate = 3.0}, {}));  // nonsense stays within what EINVAL allows
  EXPECT_EQ(asked.at(0).tick, 11'000);
}

TEST_F(KernelClock, IsSteppedByWholeSecondsAndAPositiveFraction) {
  const std::pair<double, std::pair<long, long>> steps[] = {
      {1.25, {1, 250'000'000}}, {-0.25, {-1, 750'000'000}}, {-3.0, {-3, 0}}, {0.0, {0, 0}}};
  for (const auto& [step_s, expected] : steps) {
    asked.clear();
    ASSERT_TRUE(steer_kernel_clock({.kind = Kind::step, .step_s = step_s, .rate = 1e-6}, {}));
    ASSERT_EQ(asked.size(), 2u);
    EXPECT_EQ(asked[0].modes, static_cast<unsigned>(ADJ_SETOFFSET | ADJ_NANO));
    EXPECT_EQ(asked[0].time.tv_sec, expected.first);
    EXPECT_NEAR(static_cast<double>(asked[0].time.tv_usec), static_cast<double>(expected.second),
                1);
    EXPECT_NEAR(rate_of(asked[1]), 1e-6, 1e-11);
  }
  asked.clear();  // just below a second: the kernel refuses 10^9 ns
  ASSERT_TRUE(steer_kernel_clock({.kind = Kind::step, .step_s = -1e-12}, {}));
  EXPECT_LT(asked.at(0).time.tv_usec, 1'000'000'000);
}

TEST_F(KernelClock, ARefusedCorrectionStepsNothingAndEndsASlew) {
  const auto rate = steer_kernel_clock({.kind = Kind::refuse, .step_s = 5, .rate = 12e-6}, {});
  ASSERT_TRUE(rate);
  EXPECT_NEAR(*rate, 12e-6, 1e-11);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].modes & ADJ_SETOFFSET, 0u);
  EXPECT_EQ(asked[0].status, STA_UNSYNC);
  EXPECT_NEAR(rate_of(asked[0]), 12e-6, 1e-11);
}

TEST_F(KernelClock, TellsOtherProgramsWhatItIsWorth) {
  ASSERT_TRUE(steer_kernel_clock({}, {.synchronised = true,
                                      .maxerror_s = 0.0123,
                                      .esterror_s = 0.0005,
                                      .leap = wire::Leap::insert,
                                      .tai_offset_s = 37}));
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[0].status, STA_INS);
  EXPECT_EQ(asked[0].maxerror, 12'300);
  EXPECT_EQ(asked[0].esterror, 500);
  EXPECT_EQ(asked[1].modes, static_cast<unsigned>(ADJ_TAI));
  EXPECT_EQ(asked[1].constant, 37);

  asked.clear();
  ASSERT_TRUE(steer_kernel_clock({}, {.maxerror_s = 99, .leap = wire::Leap::remove}));
  ASSERT_EQ(asked.size(), 1u) << "a TAI offset that is not known is left alone";
  EXPECT_EQ(asked[0].status, STA_UNSYNC | STA_DEL);
  EXPECT_EQ(asked[0].maxerror, 16'000'000);
}

TEST_F(KernelClock, SaysWhichStepTheKernelRefused) {
  const clock::Correction step{.kind = Kind::step, .step_s = 1};
  failure = EPERM;
  const char* const texts[] = {"step the kernel's clock", "set the kernel's clock",
                               "set the kernel's TAI offset"};
  for (std::size_t call = 0; call < 3; ++call) {
    asked.clear();
    fails_from = call;
    const auto done = steer_kernel_clock(step, {.tai_offset_s = 37});
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().doing, texts[call]);
    EXPECT_EQ(done.error().code, EPERM);
    EXPECT_EQ(asked.size(), call + 1) << "nothing is asked after a refusal";
  }
}

}  // namespace
}  // namespace ntp::os

// What is asked of the kernel from second to second. adjtimex(2) is this program's own here: no
// clock is touched.
#include "daemon/clock_steerer.h"

#include <gtest/gtest.h>
#include <sys/timex.h>

#include <chrono>
#include <cmath>
#include <vector>

namespace {

std::vector<timex> asked;

}  // namespace

extern "C" int adjtimex(timex* request) noexcept {
  asked.push_back(*request);
  return TIME_OK;
}

namespace ntp::daemon {
namespace {

using namespace std::chrono_literals;
using control::SteeringState;

constexpr double kRate = 20e-6;
constexpr RealTime kMidnight{
    std::chrono::sys_days{std::chrono::year{2027} / 1 / 1}.time_since_epoch()};

// A kernel that is led, and the second in which it is looked at.
class ASteerer : public testing::Test {
 protected:
  void SetUp() override {
    asked.clear();
    log_.configure({.level = config::LogLevel::error});
    decision_.synchronised = true;
    decision_.bound_s = 0.01;
    decision_.served.map = {.at = now_, .real = kMidnight - 1h, .rate = kRate};
  }

  // The kernel's clock is `error_s` ahead of the served one.
  void second(double error_s, std::optional<clock::LeapTable> leaps = {}) {
    now_ += 1s;
    clock::HostView host;
    host.reading = {
        .available = true,
        .tai_offset_s = 37,
        .rate = steerer_.view().rate,
        .real = decision_.served(now_) + std::chrono::nanoseconds(std::llround(error_s * 1e9)),
        .raw = now_};
    asked.clear();
    steerer_.tick(host, decision_, leaps, {});
  }

  static double rate_of(const timex& t) {
    return static_cast<double>(t.tick - 10'000) * 1e-4 + static_cast<double>(t.freq) / 65536e6;
  }

  RawTime now_{100s};
  clock::Decision decision_{};
  Log log_{};
  ClockSteerer steerer_{log_};
};

TEST_F(ASteerer, TouchesNothingBeforeTheSourcesHaveToldTheTime) {
  decision_.synchronised = false;
  for (int i = 0; i < 5; ++i) second(10);
  EXPECT_TRUE(asked.empty());
  steerer_.leave();
  EXPECT_TRUE(asked.empty());
  EXPECT_EQ(steerer_.view().state, SteeringState::waiting);
}

TEST_F(ASteerer, TellsTheKernelHowFarItsClockMayBeWrong) {
  second(0.002);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].status, 0);
  EXPECT_NEAR(static_cast<double>(asked[0].maxerror), 12'000, 1) << "the bound and the error";
  EXPECT_LT(rate_of(asked[0]), kRate) << "the kernel is ahead";
  EXPECT_EQ(steerer_.view().state, SteeringState::steering);
}

TEST_F(ASteerer, LeavesTheRightFrequencyAndNoShareOfASlew) {
  second(0.3);
  EXPECT_NEAR(rate_of(asked.at(0)), kRate - 1e-3, 1e-10);
  asked.clear();
  steerer_.leave();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_NEAR(rate_of(asked[0]), kRate, 1e-10);
  EXPECT_EQ(asked[0].status, 0) << "the clock is still right";
  asked.clear();
  steerer_.leave();
  EXPECT_TRUE(asked.empty());
}

TEST_F(ASteerer, CallsTheClockUnsynchronisedOnceWhenTheSourcesAreLost) {
  second(0.3);
  decision_.synchronised = false;
  second(0.3);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].status, STA_UNSYNC);
  EXPECT_NEAR(rate_of(asked[0]), kRate, 1e-10);
  second(0.3);
  EXPECT_TRUE(asked.empty());
}

TEST_F(ASteerer, LetsTheKernelInsertTheLeapSecondAndWritesNothingMeanwhile) {
  const clock::PlannedLeap leap{.kind = wire::Leap::insert, .midnight = kMidnight};
  const clock::ClockMap map{.at = now_, .real = kMidnight - 10s, .rate = kRate};
  decision_.served = clock::leaping(map, leap);
  decision_.leap = leap;
  second(0.3);
  EXPECT_EQ(asked.at(0).status, STA_INS);

  decision_.hold_samples = true;
  second(0.3);
  ASSERT_EQ(asked.size(), 1u) << "a slew must not run on unwatched";
  EXPECT_NEAR(rate_of(asked[0]), kRate, 1e-10);
  EXPECT_EQ(asked[0].status, STA_INS) << "still to come";
  for (int i = 0; i < 20; ++i) {
    second(i == 8 ? 1.0 : 0.0);  // the kernel is a little late
    ASSERT_TRUE(asked.empty());
  }

  decision_.hold_samples = false;
  decision_.leap.reset();
  second(0);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].status, 0) << "or the kernel would insert one tomorrow, too";
  EXPECT_NEAR(rate_of(asked[0]), kRate, 1e-10);
  EXPECT_EQ(steerer_.view().steps, 0u);
  EXPECT_EQ(steerer_.view().disturbances, 0u);
}

TEST_F(ASteerer, ARefusedClockInsertsNoLeapSecond) {
  for (int i = 0; i < 3; ++i) second(0);
  decision_.leap = clock::PlannedLeap{.kind = wire::Leap::insert, .midnight = kMidnight};
  second(3600);
  EXPECT_EQ(steerer_.view().state, SteeringState::refused);
  EXPECT_EQ(asked.at(0).status, STA_UNSYNC) << "its midnight is another one";
}

TEST_F(ASteerer, TellsTaiOnlyWhereItIsKnownAndAnother) {
  clock::LeapTable table;
  table.entries = {{.at = kMidnight - 24h * 365, .tai_offset_s = 37}};
  second(0);
  EXPECT_EQ(asked.size(), 1u);
  second(0, table);
  EXPECT_EQ(asked.size(), 1u) << "as it is";
  table.entries[0].tai_offset_s = 38;
  second(0, table);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].modes, static_cast<unsigned>(ADJ_TAI));
  EXPECT_EQ(asked[1].constant, 38);
}

}  // namespace
}  // namespace ntp::daemon

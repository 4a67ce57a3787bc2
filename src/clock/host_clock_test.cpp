#include "clock/host_clock.h"

#include <gtest/gtest.h>

namespace ntp::clock {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// A kernel whose clock some daemon keeps well, read once a second.
struct Kernel {
  KernelReading reading{.available = true,
                        .unsynchronised = false,
                        .maxerror_us = 12'345,
                        .esterror_us = 100,
                        .real = RealTime(seconds(1'790'000'000)),
                        .raw = RawTime(seconds(5'000))};
  HostClock clock{-24};
  HostPolicy policy{};

  server::ServerState tick(nanoseconds step = {}) {
    reading.raw += seconds(1);
    reading.real += seconds(1) + step;
    return clock.update(reading, policy);
  }
};

TEST(HostClock, ServesTheKernelsBoundPlusTheFloorAtTheConfiguredStratum) {
  Kernel kernel;
  const auto state = kernel.tick();
  EXPECT_TRUE(state.synchronised);
  EXPECT_EQ(state.leap, wire::Leap::none);
  EXPECT_EQ(state.stratum, 3);
  EXPECT_DOUBLE_EQ(state.root_dispersion_s, 0.012345 + 0.001);
  EXPECT_DOUBLE_EQ(state.dispersion_rate, 500e-6) << "the kernel's own rate, between readings too";
  EXPECT_EQ(state.reftime, NtpTimestamp::from(kernel.reading.real));
}

TEST(HostClock, APendingSlewCountsEvenWhereMaxerrorIsSmall) {  // CLOCK.md: timesyncd writes 0
  Kernel kernel;
  kernel.reading.offset_s = -0.2;
  EXPECT_DOUBLE_EQ(kernel.tick().root_dispersion_s, 0.2 + 0.0001 + 0.001);
}

TEST(HostClock, AMaxerrorThatIsResetToZeroIsNotBelieved) {
  Kernel kernel;
  kernel.tick();
  kernel.reading.maxerror_us = 0;
  kernel.reading.esterror_us = 0;
  EXPECT_DOUBLE_EQ(kernel.tick().root_dispersion_s, 0.1);
  kernel.reading.maxerror_us = 500;
  EXPECT_DOUBLE_EQ(kernel.tick().root_dispersion_s, 0.1005) << "grown from the reset";
  kernel.reading.maxerror_us = 333;  // now a daemon that states its true error
  EXPECT_DOUBLE_EQ(kernel.tick().root_dispersion_s, 0.001333);
}

TEST(HostClock, AFirstReadingOnTheKernelsGridIsNotBelievedEither) {
  Kernel kernel;
  kernel.reading.maxerror_us = 17'500;
  EXPECT_DOUBLE_EQ(kernel.tick().root_dispersion_s, 0.1175);
}

TEST(HostClock, UnsynchronisedServesLocalByDefaultAndLeap3OnRequest) {
  Kernel kernel;
  kernel.reading.unsynchronised = true;
  const auto local = kernel.tick();
  EXPECT_FALSE(local.synchronised);
  EXPECT_EQ(local.leap, wire::Leap::none);
  EXPECT_EQ(local.stratum, 10);
  EXPECT_EQ(local.refid, server::kRefidLocal);
  kernel.policy.unsynchronised = Unsynchronised::refuse;
  const auto refused = kernel.tick();
  EXPECT_EQ(refused.leap, wire::Leap::unknown);
  EXPECT_EQ(refused.stratum, 16);
}

TEST(HostClock, ABoundOverTheLimitCountsAsUnsynchronised) {
  Kernel kernel;
  kernel.reading.maxerror_us = 1'499'001;
  EXPECT_FALSE(kernel.tick().synchronised);
  EXPECT_EQ(kernel.clock.view().standing, HostStanding::too_uncertain);
  kernel.reading.maxerror_us = 1'498'999;
  EXPECT_TRUE(kernel.tick().synchronised);
}

TEST(HostClock, AnUnreadableKernelIsNotSynchronised) {
  Kernel kernel;
  kernel.reading.available = false;
  EXPECT_FALSE(kernel.tick().synchronised);
  EXPECT_EQ(kernel.clock.view().standing, HostStanding::unreadable);
}

TEST(HostClock, NoticesStepsOfTheHostButNotSlews) {
  Kernel kernel;
  kernel.tick();
  kernel.tick(milliseconds(50));  // adjtimex may slew by 10 %
  EXPECT_FALSE(kernel.clock.view().stepped_s.has_value());
  kernel.tick(seconds(-1));
  ASSERT_TRUE(kernel.clock.view().stepped_s.has_value());
  EXPECT_NEAR(*kernel.clock.view().stepped_s, -1.0, 1e-9);
  kernel.tick();
  EXPECT_FALSE(kernel.clock.view().stepped_s.has_value());
}

TEST(HostClock, AfterASleepTheClockIsNotBelievedUntilADaemonJudgesItAnew) {
  Kernel kernel;
  kernel.tick();
  kernel.reading.boot_lead += seconds(3600);
  kernel.reading.maxerror_us += 500;
  EXPECT_FALSE(kernel.tick(seconds(3600)).synchronised);
  EXPECT_EQ(kernel.clock.view().standing, HostStanding::suspended);
  EXPECT_FALSE(kernel.clock.view().stepped_s.has_value()) << "a sleep is not a step";
  kernel.reading.maxerror_us = 2'345;
  EXPECT_TRUE(kernel.tick().synchronised);
}

TEST(HostClock, AnnouncesTheKernelsLeapSecond) {
  Kernel kernel;
  kernel.reading.insert_leap = true;
  EXPECT_EQ(kernel.tick().leap, wire::Leap::insert);
  kernel.reading.insert_leap = false;
  kernel.reading.delete_leap = true;
  EXPECT_EQ(kernel.tick().leap, wire::Leap::remove);
}

}  // namespace
}  // namespace ntp::clock

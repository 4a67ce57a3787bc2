#include "os/machine.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "os/clocks.h"
#include "os/systemd.h"

namespace ntp::os {
namespace {

TEST(TimeZoneProblem, IsSaidForUnknownZonesOnly) {
  const struct {
    const char* zone;
    bool known;
  } cases[] = {{"UTC", true},
               {":UTC", true},
               {"CET-1CEST,M3.5.0,M10.5.0/3", true},
               {"<+0530>-5:30", true},
               {"Mars/Olympus", false},
               {"Nowhere", false},
               {"", true}};
  for (const auto& c : cases) {
    ::setenv("TZ", c.zone, 1);
    EXPECT_EQ(time_zone_problem().empty(), c.known) << c.zone << ": " << time_zone_problem();
  }
  ::unsetenv("TZ");
  EXPECT_TRUE(time_zone_problem().empty());
}

TEST(AutomaticWorkers, AreNoMoreThanTheProcessorsThatWeMayRunOn) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_LE(automatic_workers(), std::min(CPU_COUNT(&before), 8));
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(::sched_getcpu(), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(automatic_workers(), 1);
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

TEST(MeasurePrecision, IsTheSmallestStepThatTwoReadingsShow) {
  std::chrono::nanoseconds smallest = std::chrono::milliseconds(31);
  for (int i = 0; i < 20'000; ++i) {
    const RealTime first = real_now();
    const RealTime second = real_now();
    if (second > first) smallest = std::min(smallest, second - first);
  }
  const double expected = std::log2(seconds(smallest));
  EXPECT_GE(measure_precision(), expected - 1);
  EXPECT_LE(measure_precision(), expected + 3);  // the machine may be busy meanwhile
}

TEST(ListenFds, BelongToTheProcessThatSystemdMeansAndAreTakenOnce) {
  ::setenv("LISTEN_FDS", "2", 1);
  ::setenv("LISTEN_PID", "1", 1);
  EXPECT_TRUE(take_listen_fds().empty()) << "meant for another process";
  ::setenv("LISTEN_FDS", "nonsense", 1);
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_TRUE(take_listen_fds().empty());
  EXPECT_EQ(::getenv("LISTEN_PID"), nullptr);
}

TEST(WatchdogInterval, IsHalfOfWhatSystemdWaits) {
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  EXPECT_EQ(watchdog_interval(), std::chrono::microseconds(1'500'000));
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_FALSE(watchdog_interval().has_value());
  ::unsetenv("WATCHDOG_PID");
  ::setenv("WATCHDOG_USEC", "0", 1);
  EXPECT_FALSE(watchdog_interval().has_value());
  ::unsetenv("WATCHDOG_USEC");
}

}  // namespace
}  // namespace ntp::os

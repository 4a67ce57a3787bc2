#include "os/machine.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

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

TEST(AutomaticWorkers, AreAtLeastOneAndAtMostEight) {
  EXPECT_GE(automatic_workers(), 1);
  EXPECT_LE(automatic_workers(), 8);
}

TEST(MeasurePrecision, StaysInTheProtocolsRange) {
  const int precision = measure_precision();
  EXPECT_GE(precision, -30);
  EXPECT_LE(precision, -5);
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

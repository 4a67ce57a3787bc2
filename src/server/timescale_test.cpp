#include "server/timescale.h"

#include <gtest/gtest.h>

namespace ntp::server {
namespace {

using namespace std::chrono_literals;
using Origin = Timescale::Origin;

constexpr RealTime kReal{1'795'420'000s};
constexpr RawTime kRaw{5'000s};

// Serves 3600 s ahead of the host, 100 ppm faster than the raw clock.
ServerState own_clock() {
  ServerState state;
  state.own_clock = true;
  state.map.map = {.at = kRaw, .real = kReal + 3600s, .rate = 100e-6};
  return state;
}

double after_start_s(NtpTimestamp served) {
  return difference_s(served, NtpTimestamp::from(kReal));
}

TEST(Timescale, TheHostsClockIsServedAsItIs) {
  Timescale timescale;
  timescale.begin({}, {.real = kReal, .raw = kRaw});
  EXPECT_EQ(timescale.arrival(kReal - 20us).at, NtpTimestamp::from(kReal - 20us));
  EXPECT_EQ(timescale.arrival(kReal - 20us).origin, Origin::kernel);
  EXPECT_EQ(timescale.arrival({}).at, NtpTimestamp::from(kReal));
  EXPECT_EQ(timescale.arrival({}).origin, Origin::missing);
  for (const RealTime stamp : {kReal + 1ns, kReal - 1001ms}) {
    EXPECT_EQ(timescale.arrival(stamp).at, NtpTimestamp::from(kReal));
    EXPECT_EQ(timescale.arrival(stamp).origin, Origin::discarded);
  }
}

TEST(Timescale, AnOwnClockTakesOnlyTheAgeOfAStamp) {
  Timescale timescale;
  timescale.begin(own_clock(), {.real = kReal + 10s, .raw = kRaw + 10s});
  EXPECT_NEAR(after_start_s(timescale.at(kRaw + 10s)), 3610.001, 1e-9);
  const auto arrival = timescale.arrival(kReal + 10s - 50us);
  EXPECT_EQ(arrival.origin, Origin::kernel);
  EXPECT_NEAR(after_start_s(arrival.at), 3610.001 - 50e-6 * 1.0001, 1e-9);
}

TEST(Timescale, AHostThatIsSteppedMovesNothing) {
  for (const auto step : {-1s, 1s}) {
    Timescale timescale;
    timescale.begin(own_clock(), {.real = kReal, .raw = kRaw});
    // The datagram was stamped before the step and is read after it.
    timescale.begin(own_clock(), {.real = kReal + 1s + step, .raw = kRaw + 1s});
    const auto arrival = timescale.arrival(kReal + 1s - 30us);
    EXPECT_EQ(arrival.origin, Origin::discarded);
    EXPECT_NEAR(after_start_s(arrival.at), 3601.0001, 1e-9);
    // From then on the host's clock agrees with itself again.
    timescale.begin(own_clock(), {.real = kReal + 2s + step, .raw = kRaw + 2s});
    EXPECT_EQ(timescale.arrival(kReal + 2s + step - 30us).origin, Origin::kernel);
  }
}

TEST(Timescale, AStepTooSmallToSeeInTheAgeDiscardsTheBatchAllTheSame) {
  Timescale timescale;
  timescale.begin(own_clock(), {.real = kReal, .raw = kRaw});
  timescale.begin(own_clock(), {.real = kReal + 1s + 5ms, .raw = kRaw + 1s});
  EXPECT_EQ(timescale.arrival(kReal + 1s + 5ms - 30us).origin, Origin::discarded);
}

TEST(Timescale, ASlewOfTheHostIsNoStep) {
  Timescale timescale;
  timescale.begin(own_clock(), {.real = kReal, .raw = kRaw});
  timescale.begin(own_clock(), {.real = kReal + 100s + 50ms, .raw = kRaw + 100s});  // 500 ppm
  EXPECT_EQ(timescale.arrival(kReal + 100s + 50ms - 30us).origin, Origin::kernel);
}

}  // namespace
}  // namespace ntp::server

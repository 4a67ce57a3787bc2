#include "os/read_beside_raw.h"

#include <gtest/gtest.h>

#include <set>

namespace ntp::os {
namespace {

using namespace std::chrono_literals;

// Each reading takes 25 ns, and before those of `pauses` the processor is away for 50 ms. The other
// clock shows what the raw one does.
class Machine {
 public:
  explicit Machine(std::set<int> pauses) : pauses_(std::move(pauses)) {}
  RawTime read() {
    now_ += pauses_.contains(readings_++) ? 50ms : 25ns;
    return now_;
  }
  int readings() const { return readings_; }

 private:
  std::set<int> pauses_;
  int readings_ = 0;
  RawTime now_{};
};

TEST(ReadBesideRaw, TheProcessorTakenAwayBetweenTwoReadingsLooksLikeNothing) {
  for (int one = 0; one < 9; ++one) {
    for (int other = one; other < 9; ++other) {
      Machine machine({one, other});
      const auto read = [&] { return machine.read(); };
      const auto [shown, raw] = read_beside_raw(read, read);
      EXPECT_LE(std::chrono::abs(shown - raw), 25ns) << one << ' ' << other;
    }
  }
}

TEST(ReadBesideRaw, WithThreeReadingsWhereNothingComesBetween) {
  Machine machine({});
  const auto read = [&] { return machine.read(); };
  read_beside_raw(read, read);
  EXPECT_EQ(machine.readings(), 3);
}

TEST(ReadBesideRaw, TakesTheClosestOnAMachineThatIsNeverQuiet) {
  std::set<int> pauses;
  for (int i = 1; i < 30; ++i) {
    if (i != 13 && i != 14) pauses.insert(i);
  }
  Machine machine(pauses);
  const auto read = [&] { return machine.read(); };
  const auto [shown, raw] = read_beside_raw(read, read);
  EXPECT_LE(std::chrono::abs(shown - raw), 25ns);
  EXPECT_EQ(machine.readings(), 15);

  Machine starved({1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 22, 23, 25, 26, 28, 29});
  const auto starving = [&] { return starved.read(); };
  read_beside_raw(starving, starving);
  EXPECT_EQ(starved.readings(), 30) << "and ends";
}

}  // namespace
}  // namespace ntp::os

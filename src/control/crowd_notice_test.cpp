#include "control/crowd_notice.h"

#include <gtest/gtest.h>

namespace ntp::control {
namespace {

using namespace std::chrono_literals;

server::RateView crowd_at(std::uint8_t last) {
  return {.crowd = IpAddress::v4(192, 0, 2, last), .crowd_ports = 600};
}

TEST(CrowdNotice, TellsOfEachAddressOnceAndOfAnotherAfterAnHour) {
  CrowdNotice notice;
  const RawTime begin{24h};
  EXPECT_FALSE(notice.look({}, 1000, begin));
  const auto line = notice.look(crowd_at(1), 1000, begin);
  ASSERT_TRUE(line);
  EXPECT_TRUE(line->starts_with("most requests come from 192.0.2.1, more than 1000 a second"));
  EXPECT_FALSE(notice.look(crowd_at(1), 1000, begin + 2h));
  EXPECT_FALSE(notice.look(crowd_at(2), 1000, begin + 59min));
  EXPECT_TRUE(notice.look(crowd_at(2), 1000, begin + 1h));
}

}  // namespace
}  // namespace ntp::control

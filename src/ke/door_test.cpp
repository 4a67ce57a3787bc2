#include "ke/door.h"

#include <gtest/gtest.h>

#include <set>

namespace ntp::ke {
namespace {

constexpr RawTime kStart{std::chrono::hours(1)};
constexpr DoorLimits kSmall{.waiting = 8,
                            .waiting_of_network = 4,
                            .talking = 4,
                            .talking_of_network = 2,
                            .total = 10,
                            .rate_hz = 10,
                            .burst = 5};

IpAddress host(int network, int number = 1) {
  return IpAddress::v4(192, 0, static_cast<std::uint8_t>(network),
                       static_cast<std::uint8_t>(number));
}

TEST(Door, LetsInAndOut) {
  Door door(kSmall);
  EXPECT_EQ(door.idlest(), std::nullopt);
  for (Door::Id id = 1; id <= 4; ++id) {
    EXPECT_EQ(door.crowded_by(host(static_cast<int>(id))), std::nullopt);
    door.enter(id, host(static_cast<int>(id)), kStart);
  }
  EXPECT_EQ(door.size(), 4u);
  EXPECT_EQ(door.idlest(), 1u);
  door.leave(1);
  EXPECT_EQ(door.idlest(), 2u);
  for (Door::Id id = 2; id <= 4; ++id) door.leave(id);
  EXPECT_EQ(door.size(), 0u);
  EXPECT_EQ(door.idlest(), std::nullopt);
}

TEST(Door, ANetworkThatIsFullMakesRoomItself) {
  Door door(kSmall);
  door.enter(1, host(9), kStart);  // before them all, and not theirs
  for (Door::Id id = 2; id <= 5; ++id) door.enter(id, host(1, static_cast<int>(id)), kStart);
  EXPECT_EQ(door.crowded_by(host(1, 77)), 2u);  // half of eight places
  EXPECT_EQ(door.crowded_by(host(2)), std::nullopt);
}

TEST(Door, WhenAllIsFullTheIdlestGoes) {
  Door door(kSmall);
  for (Door::Id id = 1; id <= 8; ++id) door.enter(id, host(static_cast<int>(id)), kStart);
  EXPECT_EQ(door.crowded_by(host(100)), 1u);
  door.progress(1);
  EXPECT_EQ(door.crowded_by(host(100)), 2u);
}

TEST(Door, ThereAreFewerPlacesForThoseThatTalk) {
  Door door(kSmall);
  for (Door::Id id = 1; id <= 5; ++id) {
    door.enter(id, host(static_cast<int>(id)), kStart);
    if (id == 5) break;
    EXPECT_EQ(door.crowded_by_talk(id), std::nullopt);
    EXPECT_TRUE(door.may_talk(id, kStart));
    door.talk(id);
  }
  EXPECT_EQ(door.crowded_by_talk(5), 1u);
  door.progress(1);
  EXPECT_EQ(door.crowded_by_talk(5), 2u);
  EXPECT_EQ(door.crowded_by(host(6)), std::nullopt) << "those who wait are others";
}

TEST(Door, OneNetworkTalksInHalfOfThePlaces) {
  Door door(kSmall);
  for (Door::Id id = 1; id <= 3; ++id) {
    door.enter(id, host(1, static_cast<int>(id)), kStart);
    if (id < 3) door.talk(id);
  }
  EXPECT_EQ(door.crowded_by_talk(3), 1u);
}

TEST(Door, ANetworkHasARateAndABurst) {
  Door door(kSmall);
  Door::Id id = 0;
  const auto knock = [&](int network, RawTime now) {
    ++id;
    door.enter(id, host(network, static_cast<int>(id % 200)), now);
    const bool may = door.may_talk(id, now);
    door.leave(id);
    return may;
  };
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(knock(1, kStart)) << i;
  EXPECT_FALSE(knock(1, kStart));
  EXPECT_TRUE(knock(2, kStart));
  EXPECT_TRUE(knock(1, kStart + std::chrono::milliseconds(100)));
  EXPECT_FALSE(knock(1, kStart + std::chrono::milliseconds(100)));
  int granted = 0;
  for (int i = 0; i < 1000; ++i) {
    granted += knock(1, kStart + std::chrono::seconds(1) + std::chrono::milliseconds(10 * i));
  }
  EXPECT_NEAR(granted, 105, 2);
}

TEST(Door, NetworksAreThoseOfTheGround) {
  const auto share = [](const char* a, const char* b) {
    Door door(kSmall);
    for (Door::Id id = 1; id <= 4; ++id) door.enter(id, *parse_ip(a), kStart);
    return door.crowded_by(*parse_ip(b)).has_value();
  };
  EXPECT_TRUE(share("192.0.2.1", "192.0.2.255"));
  EXPECT_FALSE(share("192.0.2.1", "192.0.3.1"));
  EXPECT_TRUE(share("2001:db8:1:22ff::1", "2001:db8:1:2200:ff::2"));
  EXPECT_FALSE(share("2001:db8:1:2200::1", "2001:db8:1:2300::1"));
  EXPECT_TRUE(share("::ffff:192.0.2.1", "192.0.2.9"));
}

TEST(Door, RemembersABoundedNumberOfNetworks) {
  Door door({.rate_hz = 1e-6, .burst = 2});
  for (Door::Id id = 1; id <= 100'000; ++id) {
    const auto octet = [id](int shift) { return static_cast<std::uint8_t>(id >> shift); };
    door.enter(id, IpAddress::v4(octet(16), octet(8), octet(0), 1), kStart);
    EXPECT_TRUE(door.may_talk(id, kStart));
    door.leave(id);
  }
  EXPECT_LE(door.networks(), 8192u);
}

// Twenty thousand who sit around do not stand in the way of one who knows what it wants.
TEST(Door, WhoAchievesSomethingOutlivesAnyNumberOfIdlers) {
  Door door({});
  const Door::Id honest = 1;
  door.enter(honest, host(1), kStart);
  EXPECT_TRUE(door.may_talk(honest, kStart));
  door.talk(honest);
  std::set<Door::Id> inside{honest};
  for (Door::Id id = 2; id <= 20'000; ++id) {
    while (const auto other = door.crowded_by(host(1))) {
      ASSERT_NE(*other, honest);
      door.leave(*other);
      inside.erase(*other);
    }
    door.enter(id, host(1), kStart);
    inside.insert(id);
    ASSERT_EQ(door.size(), inside.size());
  }
  EXPECT_TRUE(inside.contains(honest));
  EXPECT_EQ(inside.size(), DoorLimits().waiting_of_network + 1);
}

}  // namespace
}  // namespace ntp::ke

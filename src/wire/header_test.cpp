#include "wire/header.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace ntp::wire {
namespace {

TEST(Header, EveryBitPatternComesBackAsItWas) {
  std::mt19937_64 random(20261123);
  std::array<std::byte, kHeaderSize> bytes;
  std::array<std::byte, kHeaderSize> again;
  for (int round = 0; round < 100'000; ++round) {
    for (auto& byte : bytes) byte = static_cast<std::byte>(random());
    encode_header(parse_header(bytes), again);
    ASSERT_EQ(bytes, again) << "round " << round;
  }
}

TEST(Header, FieldsStandWhereRfc5905Figure8PutsThem) {
  std::array<std::byte, kHeaderSize> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  bytes[0] = std::byte{0b11'100'011};
  const Header h = parse_header(bytes);
  EXPECT_EQ(h.leap, Leap::unknown);
  EXPECT_EQ(h.version, 4);
  EXPECT_EQ(h.mode, Mode::client);
  EXPECT_EQ(h.stratum, 1);
  EXPECT_EQ(h.poll, 2);
  EXPECT_EQ(h.precision, 3);
  EXPECT_EQ(h.root_delay.bits, 0x04050607u);
  EXPECT_EQ(h.root_dispersion.bits, 0x08090a0bu);
  EXPECT_EQ(h.refid, 0x0c0d0e0fu);
  EXPECT_EQ(h.reftime.bits, 0x1011121314151617u);
  EXPECT_EQ(h.org.bits, 0x18191a1b1c1d1e1fu);
  EXPECT_EQ(h.rec.bits, 0x2021222324252627u);
  EXPECT_EQ(h.xmt.bits, 0x28292a2b2c2d2e2fu);
}

}  // namespace
}  // namespace ntp::wire

#include "wire/packet.h"

#include <gtest/gtest.h>

#include <vector>

namespace ntp::wire {
namespace {

std::vector<std::byte> request(int version, std::size_t size) {
  std::vector<std::byte> bytes(size);
  bytes[0] = static_cast<std::byte>((version << 3) | 3);
  return bytes;
}

void put_field(std::vector<std::byte>& bytes, std::size_t at, unsigned type, unsigned length) {
  bytes[at] = static_cast<std::byte>(type >> 8);
  bytes[at + 1] = static_cast<std::byte>(type);
  bytes[at + 2] = static_cast<std::byte>(length >> 8);
  bytes[at + 3] = static_cast<std::byte>(length);
}

TEST(ParsePacket, OnlyAMacMayFollowTheHeaderBeforeVersion4) {
  for (int version = 1; version <= 3; ++version) {
    for (std::size_t size = 48; size <= 160; size += 4) {
      const auto packet = parse_packet(request(version, size));
      const bool expected = size == 48 || size == 52 || size == 68 || size == 72;
      EXPECT_EQ(packet.has_value(), expected) << version << ' ' << size;
    }
  }
}

TEST(ParsePacket, AFieldHasAtLeast16OctetsIsAlignedAndEndsInsideThePacket) {
  for (unsigned length = 0; length <= 80; ++length) {
    auto bytes = request(4, 48 + 64);
    put_field(bytes, 48, 0x2005, length);
    // What follows the field is zeros: nothing, a MAC-sized rest, or a field of length 0.
    const unsigned rest = length <= 64 ? 64 - length : 0;
    const bool good = length >= 16 && length % 4 == 0 && length <= 64 &&
                      (rest == 0 || rest == 4 || rest == 20 || rest == 24);
    EXPECT_EQ(parse_packet(bytes).has_value(), good) << length;
  }
}

TEST(ParsePacket, AFieldOf24OctetsOrFewerAtTheEndIsTakenForAMac) {  // RFC 7822 section 7.5.1.2
  auto bytes = request(4, 48 + 24);
  put_field(bytes, 48, 0x2005, 24);
  const auto packet = parse_packet(bytes);
  ASSERT_TRUE(packet.has_value());
  EXPECT_EQ(packet->mac.size(), 24u);
  EXPECT_TRUE(packet->fields.empty());
}

TEST(ParsePacket, EveryNtsFieldIsNoticedWhereverItStands) {
  for (const unsigned type : {0x0104u, 0x0204u, 0x0304u, 0x0404u}) {
    for (std::size_t place = 0; place < 3; ++place) {
      auto bytes = request(4, 48 + 3 * 32);
      for (std::size_t i = 0; i < 3; ++i) {
        put_field(bytes, 48 + i * 32, i == place ? type : 0x2005, 32);
      }
      const auto packet = parse_packet(bytes);
      ASSERT_TRUE(packet.has_value());
      EXPECT_TRUE(packet->has_nts_field) << type << ' ' << place;
    }
  }
}

}  // namespace
}  // namespace ntp::wire

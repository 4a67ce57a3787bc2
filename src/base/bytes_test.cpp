#include "base/bytes.h"

#include <gtest/gtest.h>

#include <array>

namespace ntp {
namespace {

TEST(ByteReader, ReadsBigEndianUntilTheEndAndThenFailsForGood) {
  const std::array bytes = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}, std::byte{5}};
  ByteReader in(bytes);
  EXPECT_EQ(in.read<std::uint8_t>(), 1);
  EXPECT_EQ(in.read<std::uint16_t>(), 0x0203);
  EXPECT_EQ(in.remaining(), 2u);
  EXPECT_EQ(in.read<std::uint32_t>(), 0u);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.read<std::uint8_t>(), 0) << "what was left is not read after a failure";
  EXPECT_TRUE(in.take(1).empty());
}

TEST(ByteWriter, WritesWhatFitsAndNothingAfterAFailure) {
  std::array<std::byte, 5> bytes{};
  ByteWriter out(bytes);
  out.write(std::uint32_t{0x01020304});
  out.write(std::uint16_t{0x0506});
  out.write(std::uint8_t{7});
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.size(), 4u);
  EXPECT_EQ(bytes[3], std::byte{4});
  EXPECT_EQ(bytes[4], std::byte{0});
}

TEST(Bytes, EveryWidthComesBackAsItWasWritten) {
  std::array<std::byte, 15> bytes{};
  ByteWriter out(bytes);
  out.write(std::uint8_t{0xfe});
  out.write(std::uint16_t{0xfedc});
  out.write(std::uint32_t{0xfedcba98});
  out.write(std::uint64_t{0xfedcba9876543210});
  ASSERT_TRUE(out.ok());
  ByteReader in(bytes);
  EXPECT_EQ(in.read<std::uint8_t>(), 0xfe);
  EXPECT_EQ(in.read<std::uint16_t>(), 0xfedc);
  EXPECT_EQ(in.read<std::uint32_t>(), 0xfedcba98);
  EXPECT_EQ(in.read<std::uint64_t>(), 0xfedcba9876543210);
  EXPECT_TRUE(in.ok());
}

TEST(ByteReader, TakesWhatItIsAskedForAndStopsAtTheEnd) {
  const std::array bytes = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}, std::byte{5}};
  ByteReader in(bytes);
  EXPECT_EQ(in.take(2).data(), bytes.data());
  EXPECT_EQ(in.take(0).size(), 0u);
  EXPECT_EQ(in.read<std::uint8_t>(), 3);
  EXPECT_EQ(in.take(3).size(), 0u);
  EXPECT_FALSE(in.ok());
}

}  // namespace
}  // namespace ntp

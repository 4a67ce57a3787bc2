#include "crypto/secret.h"

#include <gtest/gtest.h>

#include <array>
#include <new>
#include <vector>

namespace ntp::crypto {
namespace {

constexpr auto kText = std::to_array<std::byte>({std::byte{1}, std::byte{2}, std::byte{3}});

TEST(SecretBytes, NothingIsLeftWhereItStood) {
  alignas(SecretBytes<16>) std::array<std::byte, sizeof(SecretBytes<16>)> place{};
  auto* secret = new (place.data()) SecretBytes<16>(kText);
  EXPECT_TRUE(std::ranges::equal(std::span(place).first(3), kText));
  secret->~SecretBytes<16>();
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(place[i], std::byte{});
}

TEST(SecretBytes, AShorterOneWipesTheLonger) {
  SecretBytes<16> secret(kText);
  secret.assign(std::span(kText).first(1));
  EXPECT_EQ(secret.size(), 1u);
  EXPECT_EQ(secret.resize(3)[1], std::byte{});
  secret.clear();
  EXPECT_TRUE(secret.empty());
}

TEST(SecretBytes, EqualMeansEqualInLengthToo) {
  EXPECT_EQ(SecretBytes<16>(kText), SecretBytes<16>(kText));
  EXPECT_NE(SecretBytes<16>(kText), SecretBytes<16>(std::span(kText).first(2)));
  SecretBytes<16> other(kText);
  other.resize(3)[0] = std::byte{9};
  EXPECT_NE(SecretBytes<16>(kText), other);
  EXPECT_TRUE(equal_in_constant_time({}, {}));
}

}  // namespace
}  // namespace ntp::crypto

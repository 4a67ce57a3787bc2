#include "crypto/hkdf.h"

#include <gtest/gtest.h>

#include <vector>

#include "crypto/hex_test.h"

namespace ntp::crypto {
namespace {

std::string made(std::string_view secret, std::string_view salt, std::string_view info,
                 std::size_t size) {
  std::vector<std::byte> out(size);
  hkdf_sha256(from_hex(secret), from_hex(salt), from_hex(info), out);
  return to_hex(out);
}

TEST(Hkdf, GivesTheVectorsOfRfc5869) {
  EXPECT_EQ(made("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
                 "f0f1f2f3f4f5f6f7f8f9", 42),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
            "34007208d5b887185865");  // A.1
  EXPECT_EQ(made("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "", 42),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
            "9d201395faa4b61a96c8");  // A.3
}

TEST(Hkdf, EverythingThatGoesInCounts) {
  const std::string one = made("0102", "03", "04", 32);
  EXPECT_NE(made("0103", "03", "04", 32), one);
  EXPECT_NE(made("0102", "04", "04", 32), one);
  EXPECT_NE(made("0102", "03", "05", 32), one);
  EXPECT_EQ(made("0102", "03", "04", 16), one.substr(0, 32));
}

}  // namespace
}  // namespace ntp::crypto

#include "server/symmetric_keys.h"

#include <gtest/gtest.h>

namespace ntp::server {
namespace {

using crypto::MacType;

std::span<const std::byte> octets(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(KeyFile, IsReadAsChronyReadsIt) {
  const auto file = parse_key_file(
      "# a comment\n"
      "! another\n% a third\n; a fourth\n\n"
      "1 SHA1 HEX:1d1e2d7a0b9c8f70615243342516f7e8d9cabbac\n"
      "10\tsha256   ASCII:correct-horse-battery\r\n"
      "25 plain-text-of-md5\n"
      "30 AES128 HEX:00112233445566778899AABBCCDDEEFF\n"
      "4294967295 AES256 hex:"
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  EXPECT_EQ(file.keys.size(), 5u);
  ASSERT_NE(file.keys.find(10), nullptr);
  EXPECT_EQ(file.keys.find(10)->type(), MacType::sha256);
  const auto same = crypto::MacKey::make(MacType::sha256, octets("correct-horse-battery"));
  EXPECT_EQ(file.keys.find(10)->compute(octets("m")), same->compute(octets("m")));
  ASSERT_NE(file.keys.find(25), nullptr);
  EXPECT_EQ(file.keys.find(25)->type(), MacType::md5);
  EXPECT_EQ(file.keys.find(30)->type(), MacType::aes_128_cmac);
  EXPECT_EQ(file.keys.find(4'294'967'295)->type(), MacType::aes_256_cmac);
  EXPECT_EQ(file.keys.find(0), nullptr);
  EXPECT_EQ(file.keys.find(2), nullptr);
  ASSERT_EQ(file.warnings.size(), 1u);
  EXPECT_NE(file.warnings[0].find("MD5"), std::string::npos);
}

TEST(KeyFile, PassesOverWhatItCannotUseAndSaysWhichLine) {
  const struct {
    std::string_view line;
    std::string_view says;
  } bad[] = {
      {"0 SHA1 HEX:00112233445566778899", "from 1 to"},
      {"4294967296 SHA1 HEX:00112233445566778899", "from 1 to"},
      {"-1 SHA1 HEX:00112233445566778899", "from 1 to"},
      {"x SHA1 HEX:00112233445566778899", "from 1 to"},
      {"7", "not ID TYPE KEY"},
      {"7 SHA1 aaaaaaaaaaaaaaaa 192.0.2.1 192.0.2.2", "not ID TYPE KEY [CLIENTS]"},
      {"7 SHA1 aaaaaaaaaaaaaaaa two", "its clients"},
      {"7 SHA1 aaaaaaaaaaaaaaaa 192.0.2.0/24,", "its clients"},
      {"7 SHA1 aaaaaaaaaaaaaaaa ,192.0.2.0/24", "its clients"},
      {"7 SHA1 aaaaaaaaaaaaaaaa 192.0.2.0/33", "its clients"},
      {"7 SHA1 aaaaaaaaaaaaaaaa 192.0.2.1/24", "its clients"},
      {"7 SHA1 aaaaaaaaaaaaaaaa ::ffff:192.0.2.1", "its clients"},
      {"7 TIGER HEX:00112233445566778899", "its type"},
      {"7 SHA1 HEX:0", "not hexadecimal"},
      {"7 SHA1 HEX:0g", "not hexadecimal"},
      {"7 SHA1 HEX:", "does not fit"},
      {"7 AES128 HEX:00112233445566778899AABBCCDDEE", "does not fit"},
      {"7 AES256 HEX:00112233445566778899AABBCCDDEEFF", "does not fit"},
  };
  for (const auto& one : bad) {
    const auto file = parse_key_file("# first\n" + std::string(one.line) + "\n");
    EXPECT_EQ(file.keys.size(), 0u) << one.line;
    ASSERT_EQ(file.warnings.size(), 1u) << one.line;
    EXPECT_TRUE(file.warnings[0].starts_with("line 2: ")) << file.warnings[0];
    EXPECT_NE(file.warnings[0].find(one.says), std::string::npos) << file.warnings[0];
  }
  EXPECT_EQ(parse_key_file(std::string("7 SHA1 ") + std::string(129, 'a')).keys.size(), 0u);
  EXPECT_EQ(parse_key_file(std::string("7 SHA1 ") + std::string(128, 'a')).keys.size(), 1u);
}

TEST(KeyFile, AFourthWordSaysForWhomTheKeyIs) {
  const auto file = parse_key_file(
      "1 SHA1 aaaaaaaaaaaaaaaa 192.0.2.0/24,2001:db8::/32,198.51.100.7\n"
      "2 SHA1 bbbbbbbbbbbbbbbb\n");
  EXPECT_TRUE(file.warnings.empty());
  const auto key = [&](std::uint32_t id, std::string_view client) {
    return file.keys.find(id, *parse_ip(client));
  };
  for (const auto client : {"192.0.2.0", "192.0.2.255", "198.51.100.7", "2001:db8:ffff::1"}) {
    EXPECT_EQ(key(1, client), file.keys.find(1)) << client;
  }
  for (const auto client : {"192.0.1.255", "192.0.3.0", "198.51.100.8", "2001:db9::1"}) {
    EXPECT_EQ(key(1, client), nullptr) << client;
    EXPECT_EQ(key(2, client), file.keys.find(2)) << client;
    EXPECT_EQ(key(3, client), nullptr) << client;
  }
}

TEST(KeyFile, TheFirstOfTwoWithOneNumberCounts) {
  const auto file = parse_key_file("3 SHA1 aaaaaaaaaaaaaaaaaaaa\n3 SHA256 bbbbbbbbbbbbbbbbbbbb\n");
  EXPECT_EQ(file.keys.find(3)->type(), MacType::sha1);
  ASSERT_EQ(file.warnings.size(), 1u);
  EXPECT_TRUE(file.warnings[0].starts_with("line 2:"));
}

TEST(KeyFile, AShortKeyIsUsedWithAWarningThatDoesNotTellIt) {
  const auto file = parse_key_file("3 SHA1 secret\n");
  EXPECT_EQ(file.keys.size(), 1u);
  ASSERT_EQ(file.warnings.size(), 1u);
  EXPECT_EQ(file.warnings[0].find("secret"), std::string::npos);
}

}  // namespace
}  // namespace ntp::server

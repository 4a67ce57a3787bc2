#include "crypto/mac.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "crypto/hex_test.h"

namespace ntp::crypto {
namespace {

std::span<const std::byte> octets(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string mac_of(MacType type, std::span<const std::byte> key,
                   std::span<const std::byte> message) {
  const auto made = MacKey::make(type, key);
  if (!made) return "no key";
  const MacBytes mac = made->compute(message);
  return to_hex(std::span(mac).first(made->size()));
}

constexpr std::string_view kMessage =
    "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";

TEST(AesCmac, GivesTheVectorsOfRfc4493) {  // RFC 8573 section 4 refers to them
  const auto key = from_hex("2b7e151628aed2a6abf7158809cf4f3c");
  const auto all = from_hex(kMessage);
  const auto mac = [&](std::size_t size) {
    return mac_of(MacType::aes_128_cmac, key, std::span(all).first(size));
  };
  EXPECT_EQ(mac(0), "bb1d6929e95937287fa37d129b756746");
  EXPECT_EQ(mac(16), "070a16b46b4d4144f79bdd9dd04a287c");
  EXPECT_EQ(mac(40), "dfa66747de9ae63030ca32611497c827");
  EXPECT_EQ(mac(64), "51f0bebf7e3b9d92fc49741779363cfe");
}

TEST(AesCmac, GivesTheVectorsOfSp80038bWithAes256) {
  const auto key = from_hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
  const auto all = from_hex(kMessage);
  const auto mac = [&](std::size_t size) {
    return mac_of(MacType::aes_256_cmac, key, std::span(all).first(size));
  };
  EXPECT_EQ(mac(0), "028962f61b7bf89efc6b551f4667d983");
  EXPECT_EQ(mac(16), "28a7023f452e8f82bd4bf28d8c37c35c");
  EXPECT_EQ(mac(40), "aaf3d8f1de5640c232f5b169b9c911e6");
  EXPECT_EQ(mac(64), "e1992190549f6ed5696a2c056c315410");
}

// digest("abc") of RFC 1321 and FIPS 180: the key "a" stands before the message "bc".
TEST(KeyedDigest, IsTheDigestOfKeyAndMessageCutTo20Octets) {
  const auto mac = [](MacType type) { return mac_of(type, octets("a"), octets("bc")); };
  EXPECT_EQ(mac(MacType::md5), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(mac(MacType::sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(mac(MacType::sha256), "ba7816bf8f01cfea414140de5dae2223b00361a3");
  EXPECT_EQ(mac(MacType::sha384), "cb00753f45a35e8bb5a03d699ac65007272c32ab");
  EXPECT_EQ(mac(MacType::sha512), "ddaf35a193617abacc417349ae20413112e6fa4e");
}

TEST(KeyedDigest, IsThereUncutToo) {
  const auto key = MacKey::make(MacType::sha256, octets("a"));
  EXPECT_EQ(key->full_size(), 32u);
  const MacBytes mac = key->compute(octets("bc"));
  EXPECT_EQ(to_hex(std::span(mac).first<32>()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(full_mac_size(MacType::sha384), 48u);
  EXPECT_EQ(full_mac_size(MacType::sha512), 64u);
  EXPECT_EQ(full_mac_size(MacType::sha1), 20u);
}

TEST(MacKey, MayBeUsedAgainAndAgain) {
  for (int i = 0; i <= static_cast<int>(MacType::aes_256_cmac); ++i) {
    const auto type = static_cast<MacType>(i);
    const std::size_t size = type == MacType::aes_256_cmac ? 32 : 16;
    const auto key = MacKey::make(type, std::vector<std::byte>(size, std::byte{7}));
    ASSERT_TRUE(key);
    const auto first = key->compute(octets("one"));
    EXPECT_NE(key->compute(octets("two")), first) << name(type);
    EXPECT_EQ(key->compute(octets("one")), first) << name(type);
    EXPECT_TRUE(key->verify(octets("one"), std::span(first).first(key->size())));
  }
}

TEST(MacKey, OneWrongBitOrAnotherLengthIsRefused) {
  for (int i = 0; i <= static_cast<int>(MacType::aes_256_cmac); ++i) {
    const auto type = static_cast<MacType>(i);
    const std::size_t size = type == MacType::aes_256_cmac ? 32 : 16;
    const auto key = MacKey::make(type, std::vector<std::byte>(size, std::byte{7}));
    auto mac = key->compute(octets("message"));
    for (std::size_t bit = 0; bit < key->size() * 8; ++bit) {
      mac[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      EXPECT_FALSE(key->verify(octets("message"), std::span(mac).first(key->size())));
      mac[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    }
    for (std::size_t cut = 0; cut <= mac.size(); ++cut) {
      EXPECT_EQ(key->verify(octets("message"), std::span(mac).first(cut)),
                cut == key->size() || cut == key->full_size());
    }
    EXPECT_FALSE(key->verify(octets("Message"), std::span(mac).first(key->size())));
  }
}

TEST(MacKey, SizesOfKeysAreThoseOfTheFunction) {
  const std::vector<std::byte> any(kMaxMacKeySize + 1);
  const auto fits = [&](MacType type, std::size_t size) {
    return MacKey::make(type, std::span(any).first(size)).has_value();
  };
  EXPECT_FALSE(fits(MacType::sha1, 0));
  EXPECT_TRUE(fits(MacType::sha1, 1));
  EXPECT_TRUE(fits(MacType::md5, kMaxMacKeySize));
  EXPECT_FALSE(fits(MacType::md5, kMaxMacKeySize + 1));
  EXPECT_TRUE(fits(MacType::aes_128_cmac, 16));
  EXPECT_FALSE(fits(MacType::aes_128_cmac, 20));
  EXPECT_TRUE(fits(MacType::aes_256_cmac, 32));
  EXPECT_FALSE(fits(MacType::aes_256_cmac, 16));
}

}  // namespace
}  // namespace ntp::crypto

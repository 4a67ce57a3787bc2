#include "nts/authenticator.h"

#include <gtest/gtest.h>

#include "nts/fixture_test.h"

namespace ntp::nts {
namespace {

using crypto::AeadId;

Bytes body(unsigned nonce, unsigned ciphertext, std::size_t rest) {
  Bytes out = {std::byte(nonce >> 8), std::byte(nonce & 255), std::byte(ciphertext >> 8),
               std::byte(ciphertext & 255)};
  out.resize(4 + rest);
  return out;
}

TEST(ParseAuthenticator, LengthsHaveToFitWithTheirPadding) {
  const auto parses = [](unsigned nonce, unsigned ciphertext, std::size_t rest) {
    return parse_authenticator(body(nonce, ciphertext, rest)).has_value();
  };
  EXPECT_TRUE(parses(16, 16, 32));
  EXPECT_TRUE(parses(16, 16, 36));
  EXPECT_FALSE(parses(16, 16, 28));
  EXPECT_TRUE(parses(17, 17, 40));
  EXPECT_FALSE(parses(17, 17, 36));
  EXPECT_FALSE(parses(0, 16, 32)) << "no nonce";
  EXPECT_FALSE(parses(16, 15, 32)) << "not even a tag";
  EXPECT_FALSE(parses(0xffff, 16, 32));
  EXPECT_FALSE(parses(16, 0xffff, 32));
  for (std::size_t size = 0; size < 4; ++size) EXPECT_FALSE(parse_authenticator(Bytes(size)));
}

TEST(ParseAuthenticator, FindsWhatWasWritten) {
  const auto aead = crypto::Aead::make(AeadId::aes_siv_cmac_256, Bytes(32));
  const Bytes nonce = octets(16, 1);
  const Bytes plaintext = octets(20, 50);
  Bytes field(authenticator_size(aead->id(), plaintext.size(), 8));
  write_authenticator(*aead, octets(48, 9), nonce, plaintext, field);
  const auto found = parse_authenticator(std::span(field).subspan(kFieldHeader));
  ASSERT_TRUE(found);
  EXPECT_TRUE(std::ranges::equal(found->nonce, nonce));
  EXPECT_EQ(found->padding, 8u);
  Bytes opened(20);
  EXPECT_TRUE(aead->open(found->nonce, octets(48, 9), found->ciphertext, opened));
  EXPECT_EQ(opened, plaintext);
  for (std::size_t i = field.size() - 8; i < field.size(); ++i) EXPECT_EQ(field[i], std::byte{});
}

TEST(LeavesRoom, AShortNonceNeedsPaddingForTheServersOwn) {  // RFC 8915 section 5.6
  const auto leaves = [](unsigned nonce, std::size_t padding, AeadId aead) {
    const Bytes octets = body(nonce, 16, (nonce + 3) / 4 * 4 + 16 + padding);
    return leaves_room(*parse_authenticator(octets), aead);
  };
  EXPECT_TRUE(leaves(16, 0, AeadId::aes_siv_cmac_256));
  EXPECT_TRUE(leaves(13, 0, AeadId::aes_siv_cmac_256)) << "padded to 16";
  EXPECT_FALSE(leaves(12, 0, AeadId::aes_siv_cmac_256));
  EXPECT_TRUE(leaves(12, 4, AeadId::aes_siv_cmac_256));
  EXPECT_FALSE(leaves(1, 8, AeadId::aes_siv_cmac_256));
  EXPECT_TRUE(leaves(1, 12, AeadId::aes_siv_cmac_256));
  EXPECT_TRUE(leaves(12, 0, AeadId::aes_128_gcm_siv));
}

}  // namespace
}  // namespace ntp::nts

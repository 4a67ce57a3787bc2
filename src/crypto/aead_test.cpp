#include "crypto/aead.h"

#include <gtest/gtest.h>
#include <nettle/aes.h>
#include <nettle/ctr.h>

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "base/random.h"
#include "crypto/hex_test.h"
#include "crypto/mac.h"
#include "crypto/octets.h"

namespace ntp::crypto {
namespace {

using Bytes = std::vector<std::byte>;

// ---- RFC 5297 written down once more, over CMAC and CTR, with any number of components
// ------------

Bytes cmac(std::span<const std::byte> key, std::span<const std::byte> message) {
  const auto mac = MacKey::make(MacType::aes_128_cmac, key)->compute(message);
  return {mac.begin(), mac.begin() + 16};
}

Bytes doubled(const Bytes& block) {
  Bytes out(16);
  unsigned carry = 0;
  for (std::size_t i = 16; i-- > 0;) {
    const unsigned wide = (std::to_integer<unsigned>(block[i]) << 1) | carry;
    out[i] = static_cast<std::byte>(wide);
    carry = wide >> 8;
  }
  if (carry != 0) out[15] ^= std::byte{0x87};
  return out;
}

Bytes s2v(std::span<const std::byte> key, const std::vector<Bytes>& components,
          const Bytes& plaintext) {
  Bytes d = cmac(key, Bytes(16));
  for (const Bytes& component : components) {
    d = doubled(d);
    const Bytes mac = cmac(key, component);
    for (std::size_t i = 0; i < 16; ++i) d[i] ^= mac[i];
  }
  Bytes last = plaintext;
  if (plaintext.size() >= 16) {
    for (std::size_t i = 0; i < 16; ++i) last[last.size() - 16 + i] ^= d[i];
  } else {
    d = doubled(d);
    last.push_back(std::byte{0x80});
    last.resize(16);
    for (std::size_t i = 0; i < 16; ++i) last[i] ^= d[i];
  }
  return cmac(key, last);
}

Bytes siv(const Bytes& key, const std::vector<Bytes>& components, const Bytes& plaintext) {
  const std::span<const std::byte> both(key);
  Bytes sealed = s2v(both.first(16), components, plaintext);
  Bytes counter = sealed;
  counter[8] &= std::byte{0x7f};
  counter[12] &= std::byte{0x7f};
  aes128_ctx cipher;
  aes128_set_encrypt_key(&cipher, raw(both.last(16)));
  Bytes body(plaintext.size() + 1);
  ctr_crypt(&cipher, reinterpret_cast<nettle_cipher_func*>(aes128_encrypt), 16,
            raw(std::span<std::byte>(counter)), plaintext.size(), raw(std::span<std::byte>(body)),
            raw(std::span<const std::byte>(plaintext)));
  sealed.insert(sealed.end(), body.begin(), body.end() - 1);
  return sealed;
}

Bytes sealed(const Aead& aead, const Bytes& nonce, const Bytes& associated,
             const Bytes& plaintext) {
  Bytes out(plaintext.size() + kAeadTagSize);
  aead.seal(nonce, associated, plaintext, out);
  return out;
}

Bytes counted(std::size_t size, unsigned first) {
  Bytes bytes(size);
  for (auto& octet : bytes) octet = static_cast<std::byte>(first++);
  return bytes;
}

TEST(SivReference, GivesTheVectorsOfRfc5297) {
  EXPECT_EQ(to_hex(siv(from_hex("fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0"
                                "f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff"),
                       {from_hex("10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627")},
                       from_hex("11223344 55667788 99aabbcc ddee"))),
            "85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c");  // A.1
  EXPECT_EQ(to_hex(siv(from_hex("7f7e7d7c 7b7a7978 77767574 73727170"
                                "40414243 44454647 48494a4b 4c4d4e4f"),
                       {from_hex("00112233 44556677 8899aabb ccddeeff deaddada"
                                 "deaddada ffeeddcc bbaa9988 77665544 33221100"),
                        from_hex("10203040 50607080 90a0"),
                        from_hex("09f91102 9d74e35b d84156c5 635688c0")},
                       from_hex("74686973 20697320 736f6d65 20706c61 696e7465 78742074"
                                "6f20656e 63727970 74207573 696e6720 5349562d 414553"))),
            "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17"
            "dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d");  // A.2
}

// By the processor's instructions where it has them, and by the library.
class AesSivCmac256 : public testing::TestWithParam<Aead::Means> {};
INSTANTIATE_TEST_SUITE_P(ByBothMeans, AesSivCmac256,
                         testing::Values(Aead::Means::fastest, Aead::Means::library));

TEST_P(AesSivCmac256, IsRfc5297ForAllSizesWithNothingToEncryptFirst) {
  const Bytes key = counted(32, 1);
  const auto aead = Aead::make(AeadId::aes_siv_cmac_256, key, GetParam());
  ASSERT_TRUE(aead);
  for (std::size_t size = 0; size <= 70; ++size) {
    for (const std::size_t associated_size : {0u, 1u, 15u, 16u, 17u, 48u, 200u}) {
      for (const std::size_t nonce_size : {1u, 12u, 16u, 32u}) {
        const Bytes nonce = counted(nonce_size, 100);
        const Bytes associated = counted(associated_size, 7);
        const Bytes plaintext = counted(size, 50);
        const Bytes expected = siv(key, {associated, nonce}, plaintext);
        ASSERT_EQ(to_hex(sealed(*aead, nonce, associated, plaintext)), to_hex(expected))
            << size << ", " << associated_size << ", " << nonce_size;
        Bytes opened(size);
        ASSERT_TRUE(aead->open(nonce, associated, expected, opened));
        ASSERT_EQ(opened, plaintext);
      }
    }
  }
}

// Keys, sizes and octets at random; the carries of the doublings and the counter's wrap-around
// among them.
TEST(AesSiv, BothMeansGiveTheSameForRandomKeysAndSizes) {
  if (!has_aes_instructions()) GTEST_SKIP() << "the processor has no AES instructions";
  NoiseSource noise(20'260'000);
  const auto random = [&](std::size_t size) {
    Bytes bytes(size);
    for (auto& octet : bytes) octet = static_cast<std::byte>(noise.next());
    return bytes;
  };
  for (int i = 0; i < 20'000; ++i) {
    const Bytes key = random(32);
    const Bytes nonce = random(1 + noise.next() % 40);
    const Bytes associated = random(noise.next() % 300);
    const Bytes plaintext = random(noise.next() % (i % 100 == 0 ? 1300 : 130));
    const auto fast = Aead::make(AeadId::aes_siv_cmac_256, key);
    const auto slow = Aead::make(AeadId::aes_siv_cmac_256, key, Aead::Means::library);
    const Bytes good = sealed(*slow, nonce, associated, plaintext);
    ASSERT_EQ(to_hex(sealed(*fast, nonce, associated, plaintext)), to_hex(good)) << i;
    Bytes opened(plaintext.size());
    ASSERT_TRUE(fast->open(nonce, associated, good, opened));
    ASSERT_EQ(opened, plaintext);
  }
}

// Any number of jobs with keys of their own, by the processor and by the library among one another,
// each of any size: as if each were alone. What is wrong with one is nothing to the others.
TEST(Aead, ManyJobsAtOnceAreDoneLikeEachAlone) {
  NoiseSource noise(20'260'001);
  const auto random = [&](std::size_t size) {
    Bytes bytes(size);
    for (auto& octet : bytes) octet = static_cast<std::byte>(noise.next());
    return bytes;
  };
  struct Parts {
    Bytes key, nonce, associated, plaintext, expected, sealed, opened;
    bool spoilt = false;
  };
  for (int round = 0; round < 2'000; ++round) {
    std::vector<Parts> parts(noise.next() % 21);
    std::vector<std::optional<Aead>> by(parts.size()), by_library(parts.size());
    std::vector<Aead::Order> orders, of_library;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      parts[i].key = random(32);
      const bool odd = round % 3 == 0 && noise.next() % 4 == 0;
      (odd ? of_library : orders).push_back({AeadId::aes_siv_cmac_256, parts[i].key, &by[i]});
    }
    Aead::make(orders);
    Aead::make(of_library, Aead::Means::library);
    std::vector<AeadJob> jobs;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Parts& p = parts[i];
      p.nonce = random(1 + noise.next() % (round % 2 == 0 ? 16 : 40));
      p.associated = random(noise.next() % 300);
      p.plaintext = random(noise.next() % 3 == 0 ? 0 : noise.next() % 130);
      by_library[i] = Aead::make(AeadId::aes_siv_cmac_256, p.key, Aead::Means::library);
      p.expected = sealed(*by_library[i], p.nonce, p.associated, p.plaintext);
      p.sealed.resize(p.expected.size());
      jobs.push_back({.by = &*by[i],
                      .nonce = p.nonce,
                      .associated = p.associated,
                      .in = p.plaintext,
                      .out = p.sealed});
    }
    Aead::seal(jobs);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Parts& p = parts[i];
      ASSERT_EQ(to_hex(p.sealed), to_hex(p.expected)) << round << ", " << i;
      p.opened.assign(p.plaintext.size(), std::byte{0xaa});
      p.spoilt = noise.next() % 4 == 0;
      if (p.spoilt) p.sealed[noise.next() % p.sealed.size()] ^= std::byte{0x10};
      jobs[i].in = p.sealed;
      jobs[i].out = p.opened;
    }
    Aead::open(jobs);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Parts& p = parts[i];
      ASSERT_EQ(jobs[i].good, !p.spoilt) << round << ", " << i;
      ASSERT_EQ(p.opened, p.spoilt ? Bytes(p.plaintext.size()) : p.plaintext) << round << ", " << i;
    }
  }
}

TEST(Aead, AJobOfAnImpossibleSizeFailsAlone) {
  const auto aead = Aead::make(AeadId::aes_siv_cmac_256, counted(32, 5));
  const Bytes nonce = counted(16, 1);
  const Bytes good = sealed(*aead, nonce, {}, {});
  std::array jobs{AeadJob{.by = &*aead, .nonce = nonce, .in = good},
                  AeadJob{.by = &*aead, .nonce = nonce, .in = std::span(good).first(15)},
                  AeadJob{.by = &*aead, .in = good},
                  AeadJob{.by = &*aead, .nonce = nonce, .in = good}};
  Aead::open(jobs);
  EXPECT_TRUE(jobs[0].good);
  EXPECT_FALSE(jobs[1].good) << "shorter than a tag";
  EXPECT_FALSE(jobs[2].good) << "no nonce";
  EXPECT_TRUE(jobs[3].good);
}

TEST(Aead, AChangedBitAnywhereIsSeenAndNothingIsRevealed) {
  for (const AeadId id : {AeadId::aes_siv_cmac_256, AeadId::aes_128_gcm_siv}) {
    if (!is_supported(id)) continue;
    const auto aead = Aead::make(id, counted(key_size(id), 3));
    const Bytes nonce = counted(nonce_size(id), 9);
    const Bytes associated = counted(20, 40);
    const Bytes plaintext = counted(37, 80);
    const Bytes good = sealed(*aead, nonce, associated, plaintext);
    const auto opens = [&](const Bytes& n, const Bytes& a, const Bytes& s) {
      Bytes out(s.size() - kAeadTagSize, std::byte{0xaa});
      const bool ok = aead->open(n, a, s, out);
      if (!ok) {
        EXPECT_EQ(out, Bytes(out.size()));
      }
      return ok;
    };
    EXPECT_TRUE(opens(nonce, associated, good));
    const auto flipped = [](Bytes bytes, std::size_t bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      return bytes;
    };
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit)
      EXPECT_FALSE(opens(nonce, associated, flipped(good, bit))) << bit;
    for (std::size_t bit = 0; bit < nonce.size() * 8; ++bit)
      EXPECT_FALSE(opens(flipped(nonce, bit), associated, good)) << bit;
    for (std::size_t bit = 0; bit < associated.size() * 8; ++bit)
      EXPECT_FALSE(opens(nonce, flipped(associated, bit), good)) << bit;
    EXPECT_FALSE(opens(nonce, associated, Bytes(good.begin(), good.end() - 1)));
  }
}

TEST(Aead, SizesThatCannotBeAreRefused) {
  EXPECT_FALSE(Aead::make(AeadId::aes_siv_cmac_256, Bytes(31)));
  EXPECT_FALSE(Aead::make(AeadId::aes_128_gcm_siv, Bytes(32)));
  EXPECT_FALSE(Aead::make(static_cast<AeadId>(17), Bytes(32)));
  EXPECT_TRUE(is_supported(AeadId::aes_siv_cmac_256));
  EXPECT_FALSE(is_supported(static_cast<AeadId>(0)));
  const auto aead = Aead::make(AeadId::aes_siv_cmac_256, Bytes(32));
  EXPECT_FALSE(aead->open(Bytes(16), {}, Bytes(15), {})) << "shorter than a tag";
  EXPECT_FALSE(aead->open({}, {}, Bytes(16), {})) << "no nonce";
}

// RFC 8452 appendix C.1.
TEST(Aes128GcmSiv, GivesTheVectorsOfRfc8452WhereNettleHasIt) {
  if (!is_supported(AeadId::aes_128_gcm_siv)) {
    EXPECT_FALSE(Aead::make(AeadId::aes_128_gcm_siv, Bytes(16)));
    return;
  }
  const auto aead =
      Aead::make(AeadId::aes_128_gcm_siv, from_hex("01000000000000000000000000000000"));
  const Bytes nonce = from_hex("030000000000000000000000");
  EXPECT_EQ(to_hex(sealed(*aead, nonce, {}, {})), "dc20e2d83f25705bb49e439eca56de25");
  EXPECT_EQ(to_hex(sealed(*aead, nonce, {}, from_hex("0100000000000000"))),
            "b5d839330ac7b786578782fff6013b815b287c22493a364c");
  EXPECT_EQ(to_hex(sealed(*aead, nonce, from_hex("01"), from_hex("0200000000000000"))),
            "1e6daba35669f4273b0a1a2560969cdf790d99759abd1508");
  EXPECT_FALSE(aead->open(Bytes(16), {}, Bytes(16), {})) << "its nonces have 12 octets";
}

}  // namespace
}  // namespace ntp::crypto

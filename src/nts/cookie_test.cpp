#include "nts/cookie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "crypto/hex_test.h"
#include "crypto/hkdf.h"
#include "nts/fixture_test.h"

namespace ntp::nts {
namespace {

using crypto::AeadId;

std::vector<AeadId> supported() {
  std::vector<AeadId> ids = {AeadId::aes_siv_cmac_256};
  if (crypto::is_supported(AeadId::aes_128_gcm_siv)) ids.push_back(AeadId::aes_128_gcm_siv);
  return ids;
}

TEST(Cookie, GivesBackTheKeysAndHasOneLengthForEachAlgorithm) {
  EXPECT_EQ(cookie_size(AeadId::aes_siv_cmac_256), 104u);
  EXPECT_EQ(cookie_size(AeadId::aes_128_gcm_siv), 72u);
  for (const AeadId id : supported()) {
    const Bytes cookie = sealed_cookie(session_keys(id));
    EXPECT_EQ(cookie.size() % 4, 0u);
    const auto keys = cookie_keys();
    const auto opened = keys.open(cookie);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->keys(), session_keys(id));
    EXPECT_EQ(sealer_after(*opened, keys).epoch(), kEpoch);
  }
}

TEST(Cookie, NoBitOfItMayChangeAndNoOctetMayBeMissing) {
  const Bytes good = sealed_cookie(session_keys());
  const auto keys = cookie_keys();
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_FALSE(keys.open(bad)) << bit;
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(keys.open(std::span(good).first(size))) << size;
  }
  Bytes longer = good;
  longer.resize(longer.size() + 4);
  EXPECT_FALSE(keys.open(longer));
}

TEST(Cookie, TwoOfTheSameKeysHaveNothingInCommon) {  // a client must not be followed by them
  crypto::RandomStream random({});
  const CookieSealer sealer(derive_cookie_key(kSecret, kEpoch));
  std::set<Bytes> seen;
  for (int i = 0; i < 100; ++i) {
    Bytes cookie(cookie_size(AeadId::aes_siv_cmac_256));
    sealer.seal(session_keys(), random, cookie);
    EXPECT_TRUE(seen.insert(Bytes(cookie.begin() + 20, cookie.end())).second);
  }
}

// To who has no key they are noise: every octet behind the epoch takes every value equally often,
// and no word of one stands at its place in the next.
TEST(Cookie, AHundredThousandOfTheSameKeysAreNoise) {
  constexpr int kCookies = 100'000;
  crypto::RandomStream random({std::byte{5}});
  const CookieSealer sealer(derive_cookie_key(kSecret, kEpoch));
  Bytes cookie(cookie_size(AeadId::aes_siv_cmac_256)), before(cookie.size());
  std::vector<std::array<int, 256>> counts(cookie.size());
  std::set<Bytes> nonces, tags;
  for (int i = 0; i < kCookies; ++i) {
    sealer.seal(session_keys(), random, cookie);
    EXPECT_TRUE(nonces.emplace(cookie.begin() + 4, cookie.begin() + 20).second);
    EXPECT_TRUE(tags.emplace(cookie.begin() + 20, cookie.begin() + 36).second);
    for (std::size_t at = 4; at < cookie.size(); ++at) {
      ++counts[at][std::to_integer<std::size_t>(cookie[at])];
      if (at % 4 == 0) {
        EXPECT_FALSE(std::equal(cookie.begin() + static_cast<int>(at),
                                cookie.begin() + static_cast<int>(at) + 4,
                                before.begin() + static_cast<int>(at)));
      }
    }
    before = cookie;
  }
  constexpr double kWanted = kCookies / 256.0;
  for (std::size_t at = 4; at < cookie.size(); ++at) {
    double chi_squared = 0;  // 255 degrees of freedom: mean 255, deviation 22.6
    for (const int count : counts[at]) {
      chi_squared += (count - kWanted) * (count - kWanted) / kWanted;
    }
    EXPECT_LT(chi_squared, 255 + 6 * 22.6) << at;
    EXPECT_GT(chi_squared, 255 - 6 * 22.6) << at;
  }
}

TEST(CookieKeys, OpenSevenEpochsBackAndOneAhead) {
  const auto keys = cookie_keys(kEpoch);
  for (std::uint32_t epoch = kEpoch - 12; epoch <= kEpoch + 5; ++epoch) {
    const bool wanted = epoch + 7 >= kEpoch && epoch <= kEpoch + 1;
    EXPECT_EQ(keys.open(sealed_cookie(session_keys(), epoch)).has_value(), wanted) << epoch;
  }
  EXPECT_EQ(keys.current().epoch(), kEpoch);
}

TEST(CookieKeys, TheEndsOfTheCountAreNoTrouble) {
  for (const std::uint32_t epoch : {0u, 1u, 6u, std::numeric_limits<std::uint32_t>::max()}) {
    const auto keys = cookie_keys(epoch);
    EXPECT_EQ(keys.current().epoch(), epoch);
    EXPECT_TRUE(keys.open(sealed_cookie(session_keys(), epoch)));
  }
  EXPECT_TRUE(cookie_keys(3).open(sealed_cookie(session_keys(), 0)));
}

TEST(CookieKeys, ServersOfOneSecretUnderstandEachOtherAndNobodyElse) {
  EXPECT_TRUE(cookie_keys(kEpoch).open(sealed_cookie(session_keys(), kEpoch)));
  EXPECT_FALSE(cookie_keys().open(sealed_cookie(session_keys(), kEpoch, kOtherSecret)));
}

TEST(CookieKeys, ThePreviousSecretStillOpensButSealsNothing) {
  const CookieKeys keys({.secret = kOtherSecret, .previous = kSecret, .epoch = kEpoch});
  const auto opened = keys.open(sealed_cookie(session_keys(), kEpoch - 3));
  ASSERT_TRUE(opened);
  crypto::RandomStream random({});
  Bytes fresh(kMaxCookieSize);
  sealer_after(*opened, keys).seal(opened->keys(), random, fresh);
  EXPECT_FALSE(cookie_keys().open(fresh)) << "made with the secret that is going";
  EXPECT_TRUE(CookieKeys({.secret = kOtherSecret, .epoch = kEpoch}).open(fresh));
}

TEST(CookieKeys, AServerWithoutTheTimeFollowsTheEpochOfTheCookie) {
  const CookieKeys lost(
      {.secret = kOtherSecret, .previous = kSecret, .epoch = {}, .oldest = kEpoch - 100});
  for (const std::uint32_t epoch : {kEpoch - 100, kEpoch, kEpoch + 1000}) {
    for (const Bytes& secret : {kSecret, kOtherSecret}) {
      const auto opened = lost.open(sealed_cookie(session_keys(), epoch, secret));
      ASSERT_TRUE(opened) << epoch;
      EXPECT_EQ(sealer_after(*opened, lost).epoch(), epoch);
    }
  }
  EXPECT_FALSE(lost.open(sealed_cookie(session_keys(), kEpoch - 101)));
}

TEST(CookieKeys, AServerWithoutTheTimeOpensNoCookieOfASecretThatIsNotItsOwn) {
  const Bytes strange = octets(32, 77);
  const Bytes cookie = sealed_cookie(session_keys(), kEpoch, strange);
  EXPECT_FALSE(CookieKeys({.secret = kSecret, .epoch = {}}).open(cookie));
  EXPECT_FALSE(CookieKeys({.secret = kSecret, .previous = kOtherSecret, .epoch = {}}).open(cookie));
}

// Side by side, of two secrets and several epochs, damaged ones among them: each as if alone.
TEST(CookieKeys, ManyAtOnceAreOpenedLikeEachAlone) {
  for (const bool knows_time : {true, false}) {
    const CookieKeys keys({.secret = kSecret,
                           .previous = kOtherSecret,
                           .epoch = knows_time ? std::optional(kEpoch) : std::nullopt,
                           .oldest = kEpoch - 5});
    std::vector<Bytes> cookies;
    for (unsigned i = 0; i < 40; ++i) {
      SessionKeys session = session_keys(supported()[i % supported().size()]);
      session.c2s.assign(octets(crypto::key_size(session.aead), i));
      Bytes& cookie = cookies.emplace_back(
          sealed_cookie(session, kEpoch - i % 10, i % 3 == 0 ? kOtherSecret : kSecret));
      if (i % 7 == 3) cookie[30] ^= std::byte{1};
      if (i % 11 == 5) cookie.resize(i);
    }
    std::vector<std::optional<CookieKeys::Opened>> opened(cookies.size());
    std::vector<CookieKeys::Opening> openings;
    for (std::size_t i = 0; i < cookies.size(); ++i) openings.push_back({cookies[i], &opened[i]});
    keys.open(openings);
    int good = 0;
    for (std::size_t i = 0; i < cookies.size(); ++i) {
      const auto alone = keys.open(cookies[i]);
      ASSERT_EQ(opened[i].has_value(), alone.has_value()) << i;
      if (!alone) continue;
      ++good;
      EXPECT_EQ(opened[i]->keys(), alone->keys()) << i;
      EXPECT_EQ(opened[i]->own_key().has_value(), !knows_time) << i;
    }
    EXPECT_GT(good, 10);
  }
}

TEST(CookieKeys, TheKeyForKeyEstablishmentSealsWhatTheServerOpens) {
  const auto keys = cookie_keys();
  const CookieSealer sealer(keys.current_key());
  crypto::RandomStream random({});
  Bytes cookie(kMaxCookieSize);
  sealer.seal(session_keys(), random, cookie);
  EXPECT_TRUE(keys.open(cookie));
}

// Another build, another node, another year: the same key. Whoever changes the derivation breaks
// the fleet during an update, and this test.
TEST(CookieKeys, TheDerivationIsForEver) {
  Bytes expected(32);
  Bytes info = octets(0, 0);
  for (const char c : std::string_view("ntp-server cookie")) info.push_back(std::byte(c));
  for (const unsigned octet : {0u, 0u, 0x4eu, 0x20u}) info.push_back(std::byte(octet));
  crypto::hkdf_sha256(kSecret, {}, info, expected);
  EXPECT_EQ(crypto::to_hex(derive_cookie_key(kSecret, 20'000).key.view()),
            crypto::to_hex(expected));
}

TEST(EpochAt, CountsRotationsSince1970) {
  using namespace std::chrono_literals;
  EXPECT_EQ(epoch_at(0s, 24h), 0u);
  EXPECT_EQ(epoch_at(86'399s, 24h), 0u);
  EXPECT_EQ(epoch_at(86'400s, 24h), 1u);
  EXPECT_EQ(epoch_at(-5s, 24h), 0u);
}

}  // namespace
}  // namespace ntp::nts

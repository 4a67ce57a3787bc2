#include "daemon/own_cookie_secret.h"

#include <gtest/gtest.h>

namespace ntp::daemon {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr seconds kDay = hours(24);

// What a server makes of its secret.
nts::CookieKeys keys_of(const OwnCookieSecret& own) {
  return nts::CookieKeys(
      {.secret = own.current.view(), .previous = own.previous.view(), .epoch = own.epoch});
}

std::vector<std::byte> cookie_by(const nts::CookieKeys& keys) {
  static crypto::RandomStream random{crypto::RandomStream::Seed{}};
  nts::SessionKeys session;
  session.c2s.resize(crypto::key_size(session.aead));
  session.s2c.resize(crypto::key_size(session.aead));
  std::vector<std::byte> cookie(nts::cookie_size(session.aead));
  keys.current().seal(session, random, cookie);
  return cookie;
}

TEST(OwnCookieSecret, CookiesLastForSevenRotationsOverEveryChangeOfTheSecret) {
  SeededRandom random(1);
  auto own = OwnCookieSecret::make(random);
  std::vector<std::vector<std::byte>> cookies;
  for (int day = 0; day < 60; ++day) {
    const auto keys = keys_of(own);
    cookies.push_back(cookie_by(keys));
    for (int made = 0; made <= day; ++made) {
      EXPECT_EQ(keys.open(cookies[static_cast<std::size_t>(made)]).has_value(), day - made <= 7)
          << "of day " << made << " on day " << day;
    }
    EXPECT_TRUE(own.advance(kDay, kDay, random));
  }
}

TEST(OwnCookieSecret, CountsHowLongTheServerRuns) {
  SeededRandom random(1);
  auto own = OwnCookieSecret::make(random);
  const auto first = own.epoch;
  EXPECT_FALSE(own.advance(kDay - seconds(1), kDay, random));
  EXPECT_TRUE(own.advance(seconds(2), kDay, random));
  EXPECT_EQ(own.epoch, first + 1);
  EXPECT_EQ(own.age, seconds(1));
  EXPECT_TRUE(own.advance(hours(24 * 365), kDay, random));
  EXPECT_EQ(own.epoch, first + 2) << "one look, one rotation";
}

TEST(OwnCookieSecret, IsReadAsItWasWritten) {
  SeededRandom random(2);
  auto own = OwnCookieSecret::make(random);
  for (int day = 0; day < 20; ++day) {
    const auto read = parse_own_secret(format_own_secret(own));
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(read->epoch, own.epoch);
    EXPECT_EQ(read->age, own.age);
    EXPECT_EQ(read->made, own.made);
    EXPECT_EQ(read->current, own.current);
    EXPECT_EQ(read->previous, own.previous);
    own.advance(kDay + seconds(7), kDay, random);
  }
}

TEST(OwnCookieSecret, EveryFlippedOctetAndEveryCutIsRefused) {
  SeededRandom random(3);
  auto own = OwnCookieSecret::make(random);
  for (int i = 0; i < 9; ++i) own.advance(kDay, kDay, random);
  const std::string text = format_own_secret(own);
  EXPECT_LT(text.size(), kLargestOwnSecretText);
  for (std::size_t at = 0; at < text.size(); ++at) {
    EXPECT_FALSE(parse_own_secret(std::string_view(text).substr(0, at))) << at;
    for (const int flip : {1, 0x20, 0x80}) {
      std::string spoilt = text;
      spoilt[at] = static_cast<char>(spoilt[at] ^ flip);
      EXPECT_FALSE(parse_own_secret(spoilt)) << at << ' ' << flip;
    }
  }
  EXPECT_FALSE(parse_own_secret(text + "x"));
}

// fuzz/saved_text.cpp: with a good checksum, and an overflow at the next look.
TEST(OwnCookieSecret, NumbersThatNoServerLivesToWriteAreRefused) {
  SeededRandom random(4);
  const auto good = OwnCookieSecret::make(random);
  auto old = good, last = good, unborn = good;
  old.age = seconds(1'000'000'000);
  last.epoch = 0xffff'0000;
  for (const auto& still_good : {old, last}) {
    EXPECT_TRUE(parse_own_secret(format_own_secret(still_good)));
  }
  old.age += seconds(1);
  ++last.epoch;
  unborn.age = seconds(-1);
  for (const auto& bad : {old, last, unborn}) {
    const auto read = parse_own_secret(format_own_secret(bad));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error(), "not as it was written");
  }
}

TEST(OwnCookieSecret, TwoServersHaveNothingInCommon) {
  SeededRandom random(4);
  const auto one = OwnCookieSecret::make(random), two = OwnCookieSecret::make(random);
  EXPECT_NE(one.current, two.current);
  EXPECT_NE(one.epoch, two.epoch);
}

}  // namespace
}  // namespace ntp::daemon

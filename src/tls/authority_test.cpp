#include "tls/authority.h"

#include "tls/test_client.h"

namespace ntp::tls {
namespace {

TEST(Authority, KnowsWhatAClientCouldAskFor) {
  for (const char* good : {"time.example", "a", "a-b.c", "192.0.2.1", "2001:db8::1", "xn--nxasmq6b",
                           "1.2.3.example"}) {
    EXPECT_TRUE(is_host(good)) << good;
  }
  for (const char* bad : {"", ".", "a.", ".a", "-a", "a-", "a-.b", "a..b", "a b", "a,DNS:evil",
                          "a\n", "*.example", "time_1", "http://a", "a/b"}) {
    EXPECT_FALSE(is_host(bad)) << bad;
  }
  EXPECT_FALSE(is_host(std::string(64, 'a')));
  EXPECT_FALSE(is_host(std::string(60, 'a') + "." + std::string(60, 'a') + "." +
                       std::string(60, 'a') + "." + std::string(60, 'a') + "." +
                       std::string(60, 'a')));
}

TEST(Authority, IssuesForAKeyThatThereIsAlready) {
  const testing::Files files;
  const RealTime now = os::real_now();
  const Validity validity{.from = now, .until = now + std::chrono::days(9)};
  const auto renewed =
      issue(files.authority, {"2001:db8::1", "time.example"}, validity, files.server.key);
  ASSERT_TRUE(renewed) << renewed.error();
  EXPECT_EQ(renewed->key, files.server.key);
  const auto path = files.write("renewed.crt", renewed->certificate);
  const auto loaded = ServerContext::load(path, files.key, "ntske/1");
  ASSERT_TRUE(loaded) << loaded.error();
  EXPECT_EQ(days_left(loaded->certificate(), now), 8);
}

TEST(Authority, RefusesAnAuthorityInPieces) {
  const testing::Files one, other;
  const Validity validity{.until = os::real_now() + std::chrono::days(9)};
  const Credentials mixed{.certificate = one.authority.certificate, .key = other.authority.key};
  EXPECT_FALSE(issue(mixed, {"a"}, validity));
  EXPECT_FALSE(issue({.certificate = "", .key = one.authority.key}, {"a"}, validity));
  EXPECT_FALSE(issue(one.authority, {"a"}, validity, "no key"));
}

TEST(Authority, TwoOfThemHaveNothingInCommon) {
  const Validity validity{.until = os::real_now() + std::chrono::days(9)};
  const auto one = make_authority("lan", validity), two = make_authority("lan", validity);
  ASSERT_TRUE(one && two);
  EXPECT_NE(one->key, two->key);
  EXPECT_NE(one->certificate, two->certificate);
}

}  // namespace
}  // namespace ntp::tls

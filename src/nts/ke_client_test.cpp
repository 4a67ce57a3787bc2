#include "nts/ke_client.h"

#include <gtest/gtest.h>

#include "crypto/hex_test.h"
#include "nts/fixture_test.h"

namespace ntp::nts {
namespace {

using crypto::from_hex;

constexpr std::string_view kStart = "8001 0002 0000 8004 0002 000f ";
constexpr std::string_view kCookie = "0005 000c 0102030405060708090a0b0c ";
constexpr std::string_view kEnd = "8000 0000 ";

std::expected<KeAnswer, KeRefusal> parsed(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const auto part : parts) all += part;
  return parse_ke_answer(from_hex(all));
}

KeFailure failure(std::initializer_list<std::string_view> parts) {
  const auto answer = parsed(parts);
  EXPECT_FALSE(answer);
  return answer ? KeFailure::need_more : answer.error().reason;
}

TEST(KeAnswer, TheLeastThatWorks) {
  const auto answer = parsed({kStart, kCookie, kEnd});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->cookies.size(), 1u);
  EXPECT_TRUE(answer->server.empty());
  EXPECT_FALSE(answer->port);
  EXPECT_TRUE(answer->warnings.empty());
}

TEST(KeAnswer, RefusesWhatBreaksTheRules) {  // RFC 8915 section 4.1
  EXPECT_EQ(failure({kCookie, kEnd}), KeFailure::malformed);
  EXPECT_EQ(failure({"8001 0002 0000 ", kCookie, kEnd}), KeFailure::malformed) << "no AEAD";
  EXPECT_EQ(failure({"8001 0002 0000 ", kStart, kCookie, kEnd}), KeFailure::malformed) << "twice";
  EXPECT_EQ(failure({"0001 0002 0000 8004 0002 000f ", kCookie, kEnd}), KeFailure::malformed);
  EXPECT_EQ(failure({"8001 0002 8001 8004 0002 000f ", kCookie, kEnd}), KeFailure::malformed);
  EXPECT_EQ(failure({kStart, "8004 0002 000f ", kCookie, kEnd}), KeFailure::malformed) << "twice";
  EXPECT_EQ(failure({"8001 0002 0000 8004 0004 000f 001e ", kEnd}), KeFailure::malformed);
  EXPECT_EQ(failure({kStart, kCookie, "0000 0000"}), KeFailure::malformed) << "end not critical";
  EXPECT_EQ(failure({kStart, kCookie, "8000 0001 00"}), KeFailure::malformed);
  EXPECT_EQ(failure({kStart, kCookie, kEnd, "00"}), KeFailure::trailing_data);
  EXPECT_EQ(failure({kStart, kCookie, "8123 0000 ", kEnd}), KeFailure::unknown_critical);
  EXPECT_EQ(failure({kStart, kEnd}), KeFailure::no_cookies);
  EXPECT_EQ(failure({kStart, "0005 000d 0102030405060708090a0b0c0d ", kEnd}), KeFailure::no_cookies)
      << "no request could carry it";
  EXPECT_EQ(failure({kStart, "8003 0001 00 ", kCookie, kEnd}), KeFailure::malformed);
  EXPECT_EQ(failure({kStart, "0400 0001 00 ", kCookie, kEnd}), KeFailure::malformed);
}

TEST(KeAnswer, PassesOverWhatItDoesNotKnowUnlessItIsCritical) {  // RFC 8915 section 4
  for (const auto unknown : {"0008 0000 ", "4abc 0003 010203 ", "7fff 0001 00 ", "0400 0000 "}) {
    const auto answer = parsed({kStart, unknown, kCookie, kEnd});
    ASSERT_TRUE(answer) << unknown;
    // Record 1024 changes nothing for SIV-CMAC.
    EXPECT_EQ(answer->agreement, KeAgreement{}) << unknown;
  }
}

TEST(KeWriter, TellsThatARecordFoundNoRoom) {
  std::array<std::byte, 10> out;
  KeWriter writer(out);
  writer.number(true, KeType::next_protocol, 0);
  EXPECT_TRUE(writer.ok());
  EXPECT_TRUE(writer.body(false, KeType::cookie, 1).empty()) << "five octets, and four are left";
  EXPECT_FALSE(writer.ok());
  writer.end();
  EXPECT_FALSE(writer.ok()) << "once incomplete it stays so";
  EXPECT_EQ(writer.size(), 6u);
  Bytes large(70'000);
  KeWriter wide(large);
  EXPECT_TRUE(wide.body(false, KeType::cookie, 65'536).empty()) << "no length says that";
  EXPECT_FALSE(wide.ok());
}

// TCP and TLS may cut the stream wherever they like: what has come so far decides nothing before
// the end, unless it is already wrong, and then it stays so.
TEST(KeAnswer, DecidesTheSameHoweverItArrives) {
  const std::string start(kStart), cookie(kCookie), end(kEnd);
  const std::vector<std::string> messages{start + cookie + end,
                                          start + cookie + cookie + cookie + end,
                                          cookie + start + end,
                                          "8004 0002 000f 8001 0002 0000 " + cookie + end,
                                          start + "0123 0003 010203 " + cookie + end,
                                          start + "0006 0009 6e74702e612e62 2e63 " + cookie + end,
                                          start + "0007 0002 10e1 " + cookie + end,
                                          start + "8003 0002 0001 " + cookie + end,
                                          start + "0400 0000 " + cookie + end,
                                          start + "8123 0000 " + cookie + end,
                                          start + end,
                                          "8002 0002 0000 " + end,
                                          "8002 0002 0002 " + end,
                                          "8001 0000 " + end,
                                          "8001 0002 0000 8004 0000 " + end,
                                          start + "0006 0002 610a " + cookie + end,
                                          start + "0007 0002 0000 " + cookie + end,
                                          start + "0000 0000 " + cookie + end,
                                          start + cookie + "8000 0001 00 "};
  for (const std::string& text : messages) {
    const auto whole = from_hex(text);
    const auto decided = parse_ke_answer(whole);
    bool over = false;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto part = parse_ke_answer(std::span(whole).first(size));
      ASSERT_FALSE(part) << text << " at " << size;
      const bool waits = part.error().reason == KeFailure::need_more;
      EXPECT_FALSE(over && waits) << text << " at " << size;
      over = over || !waits;
      if (waits) continue;
      ASSERT_FALSE(decided) << text << " at " << size;
      EXPECT_EQ(part.error(), decided.error()) << text << " at " << size;
    }
  }
}

TEST(KeAnswer, SaysWhyAServerRefuses) {
  EXPECT_EQ(parsed({"8002 0002 0001 ", kEnd}).error(), (KeRefusal{KeFailure::error, 1}));
  EXPECT_EQ(failure({"8002 0001 01 ", kEnd}), KeFailure::malformed);
  EXPECT_EQ(failure({"8001 0000 ", kEnd}), KeFailure::no_protocol);
  EXPECT_EQ(failure({"8001 0002 0000 8004 0000 ", kEnd}), KeFailure::no_aead);
  EXPECT_EQ(failure({"8001 0002 0000 8004 0002 0011 ", kCookie, kEnd}), KeFailure::no_aead)
      << "what was not offered";
  for (int i = 0; i <= static_cast<int>(KeFailure::bad_port); ++i)
    EXPECT_FALSE(words(static_cast<KeFailure>(i)).empty());
}

TEST(KeAnswer, AServersNameCanOnlyBeAName) {  // A24
  const auto named = [](std::string_view length, std::string_view letters) {
    return parsed({kStart, "8006 ", length, letters, kCookie, kEnd});
  };
  EXPECT_EQ(named("0004 ", "612e6263 ")->server, "a.bc");
  EXPECT_FALSE(named("0000 ", "")) << "empty";
  for (const auto bad : {"00", "0a", "0d", "20", "7f", "80", "ff", "1b", "09"}) {
    const auto answer = named("0003 ", std::string("61") + bad + "62 ");
    ASSERT_FALSE(answer) << bad;
    EXPECT_EQ(answer.error().reason, KeFailure::bad_server);
  }
  EXPECT_TRUE(named("00ff ", crypto::to_hex(Bytes(255, std::byte{'a'}))));
  EXPECT_FALSE(named("0100 ", crypto::to_hex(Bytes(256, std::byte{'a'}))));
  EXPECT_FALSE(parsed({kStart, "8006 0001 61 8006 0001 62 ", kCookie, kEnd})) << "two of them";
}

TEST(KeAnswer, APortIsOneFrom1To65535) {  // A24
  const auto port = [](std::string_view record) { return parsed({kStart, record, kCookie, kEnd}); };
  EXPECT_EQ(port("8007 0002 0001 ")->port, 1);
  EXPECT_EQ(port("8007 0002 ffff ")->port, 65535);
  for (const auto bad : {"8007 0002 0000 ", "8007 0001 7b ", "8007 0000 ", "8007 0003 00007b ",
                         "8007 0002 007b 8007 0002 007b "}) {
    const auto answer = port(bad);
    ASSERT_FALSE(answer) << bad;
    EXPECT_EQ(answer.error().reason, KeFailure::bad_port);
  }
}

TEST(KeAnswer, KeepsEightCookiesAndAFewWarnings) {
  std::string cookies;
  std::string warnings;
  for (int i = 0; i < 20; ++i) {
    cookies += kCookie;
    warnings += "8003 0002 0005 ";
  }
  const auto answer = parsed({kStart, warnings, cookies, kEnd});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->cookies.size(), kCookiesKept);
  EXPECT_EQ(answer->warnings, std::vector<std::uint16_t>(8, 5));
}

TEST(KeAnswer, DoesNotWaitForEverForAnEnd) {
  Bytes endless = from_hex("1234 ffff");
  endless.resize(kMaxKeMessage - 1);
  EXPECT_EQ(parse_ke_answer(endless).error().reason, KeFailure::need_more);
  endless.resize(kMaxKeMessage);
  EXPECT_EQ(parse_ke_answer(endless).error().reason, KeFailure::too_long);
}

TEST(KeRequest, OffersWhatThisBuildCan) {
  std::array<std::byte, kMaxKeRequest> out;
  const auto text = crypto::to_hex(std::span(out).first(write_ke_request(out)));
  if (crypto::is_supported(crypto::AeadId::aes_128_gcm_siv)) {
    EXPECT_EQ(text, "80010002000080040004001e000f0400000080000000");
  } else {
    EXPECT_EQ(text, "80010002000080040002000f80000000");
  }
}

}  // namespace
}  // namespace ntp::nts

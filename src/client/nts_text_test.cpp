#include "client/nts_text.h"

#include <gtest/gtest.h>

#include "client/nts_fixture.h"

namespace ntp::client {
namespace {

using namespace std::chrono_literals;

// In a boot that is younger than the keys.
const Instant kNow{.real = RealTime(1'800'000'000s), .raw = RawTime(1h)};

std::vector<SavedNts> examples() {
  testing::NtsServer server;
  std::vector<SavedNts> all;
  for (const char* at : {"192.0.2.1:123", "[2001:db8::1]:1123"}) {
    const auto established = server.establish();
    const Endpoint to = *parse_endpoint(at, 0);
    all.push_back({.host = "time.example",
                   .ke_port = 4460,
                   .resolved = to.address,
                   .server = to,
                   .roots = all.empty() ? "" : "/etc/our roots.pem",
                   .mark = all.empty() ? "" : "00ff",
                   .memory = {.keys = established.keys,
                              .cookies = established.cookies,
                              .established = kNow.raw - 24h}});
  }
  all.back().memory.cookies.resize(1);
  return all;
}

TEST(NtsText, IsReadAsItWasWritten) {
  const auto read = parse_nts(format_nts(examples(), kNow), kNow);
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, examples());
  EXPECT_TRUE(parse_nts(format_nts({}, kNow), kNow)->empty());
}

// Their age goes on while nobody runs, over a boot whose clock begins anew.
TEST(NtsText, TheKeysGrowOlderBetweenTwoRuns) {
  const Instant later{.real = kNow.real + 48h, .raw = RawTime(10s)};
  const auto read = parse_nts(format_nts(examples(), kNow), later);
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(later.raw - read->front().memory.established, 72h);
}

TEST(NtsText, KeysOfTheFutureAndOfLongAgoAreAsOldAsKeysCanBe) {
  const std::string text = format_nts(examples(), kNow);
  for (const auto shift : {-25h, -24h * 10'000, 24h * 27, 24h * 10'000}) {
    const Instant later{.real = kNow.real + shift, .raw = RawTime(10s)};
    const auto read = parse_nts(text, later);
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(later.raw - read->front().memory.established, kKeyLifetime) << shift.count();
  }
}

TEST(NtsText, OfTheFormatBeforeNothingIsKeptAndNothingIsWrong) {
  const auto read = parse_nts("ntp-server-nts 1\nsource time.example 4460 192.0.2.1\n", kNow);
  ASSERT_TRUE(read) << read.error();
  EXPECT_TRUE(read->empty());
}

TEST(NtsText, WhatIsTornOrGarbledIsRefusedAsAWhole) {
  const std::string text = format_nts(examples(), kNow);
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(parse_nts(std::string_view(text).substr(0, size), kNow)) << size;
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string spoilt = text;
    spoilt[at] = static_cast<char>(spoilt[at] ^ 1);
    EXPECT_FALSE(parse_nts(spoilt, kNow)) << at;
  }
  EXPECT_FALSE(parse_nts(text + "x", kNow));
  EXPECT_FALSE(parse_nts("", kNow));
}

}  // namespace
}  // namespace ntp::client

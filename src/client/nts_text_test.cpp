#include "client/nts_text.h"

#include <gtest/gtest.h>

#include "client/nts_fixture.h"

namespace ntp::client {
namespace {

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
                   .memory = {.keys = established.keys, .cookies = established.cookies}});
  }
  all.back().memory.cookies.resize(1);
  return all;
}

TEST(NtsText, IsReadAsItWasWritten) {
  const auto read = parse_nts(format_nts(examples()));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, examples());
  EXPECT_TRUE(parse_nts(format_nts({}))->empty());
}

TEST(NtsText, WhatIsTornOrGarbledIsRefusedAsAWhole) {
  const std::string text = format_nts(examples());
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(parse_nts(std::string_view(text).substr(0, size))) << size;
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string spoilt = text;
    spoilt[at] = static_cast<char>(spoilt[at] ^ 1);
    EXPECT_FALSE(parse_nts(spoilt)) << at;
  }
  EXPECT_FALSE(parse_nts(text + "x"));
  EXPECT_FALSE(parse_nts(""));
}

}  // namespace
}  // namespace ntp::client

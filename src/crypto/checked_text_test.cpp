#include "crypto/checked_text.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace ntp::crypto {
namespace {

// Files of earlier versions stay readable.
TEST(CheckedText, TheChecksumIsWhatFilesHaveByNow) {
  EXPECT_EQ(text_checksum("ntp-server-nts 1\n"), "5902fa354b79b20c");
  EXPECT_NE(text_checksum("ntp-server-nts 1"), text_checksum("ntp-server-nts 1\n"));
}

TEST(CheckedText, ANumberIsTheWholeText) {
  std::uint16_t out = 0;
  EXPECT_TRUE(read_number("65535", out));
  EXPECT_EQ(out, 65535u);
  for (const char* bad : {"", " 1", "1 ", "65536", "-1", "0x1", "+1"}) {
    EXPECT_FALSE(read_number(bad, out)) << bad;
  }
}

}  // namespace
}  // namespace ntp::crypto

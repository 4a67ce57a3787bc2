#include "config/screen.h"

#include <gtest/gtest.h>

namespace ntp::config {
namespace {

std::string screened(std::string text) {
  auto result = screen({.name = "f", .text = std::move(text)});
  return result ? *result : to_string(result.error());
}

std::string refused_at(int line, int column) {
  return "f:" + std::to_string(line) + ":" + std::to_string(column) +
         ": a character outside ASCII; only comments may have one; quotes are written as \"...\"";
}

TEST(Screen, LeavesAsciiAlone) {
  const std::string text = "# a\n[server]\r\nstratum = 3 # b\n\n\tx = '#'\n";
  EXPECT_EQ(screened(text), text);
  EXPECT_EQ(screened(""), "");
  EXPECT_EQ(screened("\xef\xbb\xbf[log]"), "\xef\xbb\xbf[log]");
}

TEST(Screen, BlotsCommentsOctetByOctet) {
  EXPECT_EQ(screened("# f\xc3\xbcr\nx = 1 # \xff\n"), "# f??r\nx = 1 # ?\n");
  EXPECT_EQ(screened("x = \"a # b\" # \xc3\xbc"), "x = \"a # b\" # ??");
  EXPECT_EQ(screened("x = \"\\\"#\" # \xc3\xbc"), "x = \"\\\"#\" # ??");
  EXPECT_EQ(screened("x = '\\' # \xc3\xbc"), "x = '\\' # ??");
}

TEST(Screen, RefusesStrangeOctetsEverywhereElse) {
  EXPECT_EQ(screened("\nstratum = \xc3\xbc"),
            refused_at(2, 11));  // toml++ 3.3: undefined behaviour
  EXPECT_EQ(screened("x = \"#\xc3\xbc\""), refused_at(1, 7));
  EXPECT_EQ(screened("x = '#\xc3\xbc'"), refused_at(1, 7));
  EXPECT_EQ(screened("x = \"\\\"#\xc3\xbc\""), refused_at(1, 9));
  EXPECT_EQ(screened("x = '''a'b#\xc3\xbc'''"), refused_at(1, 12));
  EXPECT_EQ(screened("x = \"\"\"\\#\xc3\xbc\"\"\""), refused_at(1, 10));
  EXPECT_EQ(screened("\xef\xbb\xbfx = \xe2\x80\x9cinfo\xe2\x80\x9d"), refused_at(1, 5));
}

}  // namespace
}  // namespace ntp::config

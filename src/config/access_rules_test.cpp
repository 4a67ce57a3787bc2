#include "config/access_rules.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ntp::config {
namespace {

std::vector<std::string> problems_of(const std::string& text) {
  Problems problems;
  (void)read_access_file({.name = "rules", .text = text}, problems);
  std::vector<std::string> lines;
  for (const auto& problem : problems) lines.push_back(to_string(problem));
  return lines;
}

// What load() makes of a configuration that names a file with this text.
std::string rules_text;
std::expected<FileText, Problem> read_rules(const std::string& path, std::size_t most) {
  EXPECT_EQ(most, kLargestAccessFile);
  return FileText{.name = path, .text = rules_text};
}
std::expected<Loaded, Problems> load_with(const std::string& rules, const std::string& toml) {
  rules_text = rules;
  return load({.files = {{.name = "ntp.toml", .text = toml}}, .read_file = read_rules});
}

TEST(AccessRule, IsShownAsItIsRead) {
  for (const char* text : {"10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "0.0.0.0/0", "::/0",
                           "10.0.0.0/8@192.0.2.1:123", "::/0@[2001:db8::1]:1123"}) {
    const auto rule = parse_access_rule(text, true);
    ASSERT_TRUE(rule.has_value()) << text;
    EXPECT_EQ(to_string(*rule), text);
  }
  EXPECT_EQ(to_string(*parse_access_rule("10.0.0.0/8@192.0.2.1", false)),
            "10.0.0.0/8@192.0.2.1:123");
}

TEST(AccessFile, HasARuleALine) {
  Problems problems;
  const auto file = read_access_file({.name = "rules",
                                      .text = "# a comment\n\nallow 10.0.0.0/8\r\n"
                                              "\tdeny  10.1.0.0/16  # another\n"
                                              "deny 2001:db8::/32@[::]:123"},
                                     problems);
  EXPECT_TRUE(problems.empty());
  ASSERT_EQ(file.rules.size(), 3u);
  EXPECT_EQ(file.rules[0], *parse_access_rule("10.0.0.0/8", true));
  EXPECT_EQ(file.rules[1], *parse_access_rule("10.1.0.0/16", false));
  EXPECT_EQ(file.rules[2], *parse_access_rule("2001:db8::/32@[::]:123", false));
  EXPECT_EQ(file.lines, (std::vector<int>{3, 4, 5}));
}

TEST(AccessFile, TellsLineAndColumnOfEveryFault) {
  EXPECT_EQ(problems_of("allow 10.0.0.0/8\n permit 10.0.0.0/8\n"),
            (std::vector<std::string>{"rules:2:2: \"permit\" is no verdict; a line is \"allow "
                                      "PREFIX\" or \"deny PREFIX\""}));
  EXPECT_EQ(problems_of("deny 10.1.2.3/8\n"),
            (std::vector<std::string>{"rules:1:6: has \"10.1.2.3/8\", which has bits behind its "
                                      "length; write 10.0.0.0/8 for the network, or 10.1.2.3 for "
                                      "the address"}));
  EXPECT_EQ(problems_of("deny  10.0.0.0/33\nallow\n"),
            (std::vector<std::string>{
                "rules:1:7: has \"10.0.0.0/33\", whose length is too large; write up to /32 behind "
                "an IPv4 address, up to /128 behind an IPv6 one",
                "rules:2:1: \"allow\" without a prefix; a line is \"allow PREFIX\" or \"deny "
                "PREFIX\""}));
  EXPECT_EQ(problems_of("deny example.org\n").size(), 1u);
  EXPECT_EQ(problems_of("deny 10.0.0.0/8@here\n").size(), 1u);
  EXPECT_EQ(problems_of("deny ::ffff:10.0.0.0/104\n").size(), 1u);
  EXPECT_EQ(problems_of("deny 10.0.0.0/8 11.0.0.0/8\n").size(), 1u);
}

TEST(AccessFile, DoesNotComplainForEver) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "nonsense\n";
  const auto problems = problems_of(text);
  EXPECT_EQ(problems.size(), 21u);
  EXPECT_EQ(problems.back(), "rules:20:1: many faults: what follows was not read");
}

TEST(AccessFile, JoinsTheRulesOfTheConfiguration) {
  const auto loaded = load_with("deny 10.1.0.0/16\n",
                                "[access]\nallow = ['10.0.0.0/8']\n"
                                "rules = '/etc/rules'\n");
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->settings.access.more, (std::vector{*parse_access_rule("10.1.0.0/16", false)}));
}

TEST(AccessFile, IsRefusedWhereItContradicts) {
  const std::string toml = "[access]\nallow = ['10.0.0.0/8']\nrules = '/etc/rules'\n";
  const auto loaded = load_with("# nothing\ndeny 10.0.0.0/8\n", toml);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(to_string(loaded.error().front()),
            "/etc/rules:2:1: \"10.0.0.0/8\" is both allowed and denied; remove one of the two "
            "rules");
  EXPECT_TRUE(load_with("allow 10.0.0.0/8\nallow 10.0.0.0/8\n", toml).has_value());
  // For one listener the rule is another one.
  EXPECT_TRUE(load_with("deny 10.0.0.0/8@0.0.0.0\n", toml).has_value());
  const auto stranger = load_with("deny 10.0.0.0/8@192.0.2.1\n", toml);
  ASSERT_FALSE(stranger.has_value());
  EXPECT_EQ(to_string(stranger.error().front()),
            "/etc/rules:1:1: the rule \"10.0.0.0/8@192.0.2.1:123\" is about a listener that there "
            "is none of; behind the @ stands an address of server.listen");
}

TEST(AccessFile, OfAHundredThousandRulesIsRead) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) {
    text += fmt::format("deny {}.{}.{}.0/24\n", 1 + i / 65536, i / 256 % 256, i % 256);
  }
  Problems problems;
  EXPECT_EQ(read_access_file({.name = "rules", .text = text}, problems).rules.size(), 100'000u);
  EXPECT_TRUE(problems.empty());
}

}  // namespace
}  // namespace ntp::config

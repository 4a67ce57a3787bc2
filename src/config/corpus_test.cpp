// The files of tests/config: every bad one is refused with the message that its first line states,
// every good one is shown such that it loads to the same settings.
#include <fnmatch.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/load.h"
#include "config/show.h"
#include "config/source_fields.h"

namespace ntp::config {
namespace {

std::vector<std::filesystem::path> files_of(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(NTP_SOURCE_DIR) / "tests/config" / folder)) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// '*' stands for any text; nothing else is special.
bool matches(std::string_view text, std::string_view pattern) {
  std::string escaped;
  for (const char c : pattern) {
    if (c == '[' || c == '?' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return fnmatch(escaped.c_str(), std::string(text).c_str(), 0) == 0;
}

// Shows, loads what was shown, and shows that.
void expect_same_when_shown(const Loaded& loaded, const std::string& where) {
  for (const bool origins : {false, true}) {
    const std::string text = show(loaded, origins);
    auto again = load_text(text, "shown");
    ASSERT_TRUE(again.has_value()) << where << '\n' << text << show(again.error());
    // What a file cannot say.
    again->settings.server.listen_is_default = loaded.settings.server.listen_is_default;
    again->settings.nts.listen_is_default = loaded.settings.nts.listen_is_default;
    again->settings.warnings = loaded.settings.warnings;
    EXPECT_EQ(again->settings, loaded.settings) << where << '\n' << text;
  }
}

TEST(Corpus, EveryBadFileIsRefusedWithItsMessageAndPlace) {
  const auto paths = files_of("bad");
  EXPECT_GE(paths.size(), 60u);
  for (const auto& path : paths) {
    const std::string text = read(path);
    ASSERT_TRUE(text.starts_with("# ")) << path;
    const std::string expected = "bad.toml:" + text.substr(2, text.find('\n') - 2);
    const auto loaded = load_text(text, "bad.toml");
    ASSERT_FALSE(loaded.has_value()) << path;
    const std::string first = to_string(loaded.error().front());
    EXPECT_TRUE(matches(first, expected))
        << path << "\n  is:   " << first << "\n  want: " << expected;
    EXPECT_EQ(exit_code(loaded.error()), kExitConfig) << path;
  }
}

TEST(Corpus, EveryGoodFileIsShownSuchThatItLoadsToTheSame) {
  const auto paths = files_of("good");
  EXPECT_GE(paths.size(), 10u);
  for (const auto& path : paths) {
    const auto loaded = load_text(read(path), "good.toml");
    ASSERT_TRUE(loaded.has_value()) << path << '\n' << show(loaded.error());
    expect_same_when_shown(*loaded, path);
  }
}

TEST(Corpus, TheFileWithEverythingLeavesNoDefault) {
  const auto loaded =
      load_text(read(std::filesystem::path(NTP_SOURCE_DIR) / "tests/config/good/everything.toml"));
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(changed(defaults(), loaded->settings).size(), options().size());
  for (std::size_t i = 0; i < source_fields().size(); ++i) {
    const auto& field = source_fields()[i];
    const bool somewhere = std::ranges::any_of(
        loaded->settings.sources,
        [&field](const auto& source) { return field.show(source) != field.show({}); });
    EXPECT_TRUE(somewhere) << field.option.key;
  }
}

TEST(Corpus, NoCutOrFlippedOctetOfAGoodFileDoesHarm) {
  for (const auto& path : files_of("good")) {
    const std::string text = read(path);
    for (std::size_t i = 0; i < text.size(); ++i) {
      (void)load_text(text.substr(0, i));
      for (const char octet : {'\0', '"', '[', '=', '\xff'}) {
        std::string changed_text = text;
        changed_text[i] = octet;
        const auto loaded = load_text(changed_text);
        if (loaded) {
          expect_same_when_shown(*loaded, path);
        } else {
          ASSERT_FALSE(loaded.error().empty());
          ASSERT_FALSE(show(loaded.error()).empty());
        }
      }
    }
  }
}

TEST(Show, SaysWhereEachValueIsFrom) {
  const auto loaded = load({.files = {{"/etc/a\nb.toml", "log.level = 'debug'\n"}},
                            .environment = {{"NTP_SERVER_LOG_FORMAT", "json"}},
                            .flags = {{"log.requests", "true", "--log-requests"}}});
  ASSERT_TRUE(loaded.has_value());
  const std::string text = show(*loaded, true);
  EXPECT_NE(text.find("stratum = 3  # from default\n"), std::string::npos) << text;
  EXPECT_NE(text.find("level = \"debug\"  # from /etc/a?b.toml:1:13\n"), std::string::npos) << text;
  EXPECT_NE(text.find("format = \"json\"  # from environment NTP_SERVER_LOG_FORMAT\n"),
            std::string::npos);
  EXPECT_NE(text.find("requests = true  # from flag --log-requests\n"), std::string::npos) << text;
  EXPECT_EQ(show(*loaded, false).find('#'), std::string::npos);
}

}  // namespace
}  // namespace ntp::config

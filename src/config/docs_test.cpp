// The documents against the table of settings: every key stands in them with its default, its name
// in the environment and its flag, in the very words of the table. A failure prints what to paste.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/load.h"
#include "config/options.h"
#include "config/source_fields.h"
#include "config/units.h"

namespace ntp::config {
namespace {

std::string read(const char* name) {
  const auto path = std::filesystem::path(NTP_SOURCE_DIR) / name;
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string sentence(std::string_view text) {
  return upper_case(text.substr(0, 1)) + std::string(text.substr(1));
}

std::string markdown_row(const Option& option) {
  const std::string flag = option.flag.empty() ? "" : fmt::format("`{}`", option.flag);
  return fmt::format("| `{}` | `{}` | {} | {} | {} | {} | `{}` |\n", option.name(),
                     show_default(option), sentence(option.help), option.expects,
                     option.reloadable ? "yes" : "restart", flag, environment_name(option));
}

std::string fallback_of(const SourceField& field) {
  return field.option.fallback.empty() ? "" : field.show({});
}

std::string markdown_row(const SourceField& field) {
  const std::string fallback = fallback_of(field);
  return fmt::format("| `{}` | {} | {} | {} | {} |\n", field.option.name(),
                     fallback.empty() ? "needed" : fmt::format("`{}`", fallback),
                     sentence(field.option.help), field.option.expects,
                     field.option.reloadable ? "yes" : "restart");
}

// scdoc's special characters; its bold is by asterisks.
std::string man_escaped(std::string text) {
  for (const char* special : {"\\", "_", "*", "<", "`"}) {
    text = replaced(std::move(text), special, std::string("\\") + special);
  }
  return text;
}

std::string man_entry(const Option& option) {
  std::string out =
      fmt::format("*{}* = {}\n\t{}. Values: {}.", man_escaped(std::string(option.name())),
                  man_escaped(show_default(option)), man_escaped(sentence(option.help)),
                  man_escaped(std::string(option.expects)));
  if (!option.reloadable) out += " A change needs a restart.";
  out += fmt::format(" Environment: {}.", man_escaped(environment_name(option)));
  if (!option.flag.empty()) out += fmt::format(" Flag: *{}*.", option.flag);
  return out + "\n";
}

std::string man_entry(const SourceField& field) {
  const std::string fallback = fallback_of(field);
  return fmt::format("*{}*{}\n\t{}. Values: {}.\n", man_escaped(std::string(field.option.name())),
                     fallback.empty() ? "" : " = " + man_escaped(fallback),
                     man_escaped(sentence(field.option.help)),
                     man_escaped(std::string(field.option.expects)));
}

TEST(Documents, ConfigurationPageHasARowForEverySetting) {
  const std::string page = read("docs/configuration.md");
  for (const auto& option : options()) {
    EXPECT_NE(page.find(markdown_row(option)), std::string::npos)
        << "in the table of [" << option.section() << "], write:\n"
        << markdown_row(option);
  }
}

TEST(Documents, ManPageHasAnEntryForEverySetting) {
  const std::string page = read("docs/man/ntp-server.8.scd");
  for (const auto& option : options()) {
    EXPECT_NE(page.find(man_entry(option)), std::string::npos)
        << "below [" << option.section() << "], write:\n"
        << man_entry(option);
  }
}

TEST(Documents, HaveAnEntryForEveryFieldOfASource) {
  const std::string page = read("docs/configuration.md");
  const std::string man = read("docs/man/ntp-server.8.scd");
  for (const auto& field : source_fields()) {
    EXPECT_NE(page.find(markdown_row(field)), std::string::npos)
        << "in the table of [[source]], write:\n"
        << markdown_row(field);
    EXPECT_NE(man.find(man_entry(field)), std::string::npos) << "below [[source]], write:\n"
                                                             << man_entry(field);
  }
}

TEST(Documents, NameEveryVariableOfOtherImages) {
  for (const char* document : {"docs/configuration.md", "docs/man/ntp-server.8.scd"}) {
    const std::string page = replaced(read(document), "\\", "");
    for (const char* variable : {"LOG_LEVEL", "NTP_SERVERS", "ENABLE_NTS", "ENABLE_SYSCLK",
                                 "NTP_DIRECTIVES", "NOCLIENTLOG", "TZ"}) {
      EXPECT_NE(page.find(variable), std::string::npos) << document << ": " << variable;
    }
  }
}

// | `NTP_SERVER_LOG_LEVEL`, `LOG_LEVEL` | `info` | …
TEST(Documents, ReadmeNamesOnlyVariablesThatExistAndTheirDefaults) {
  std::istringstream lines(read("README.md"));
  std::string line;
  int rows = 0;
  while (std::getline(lines, line)) {
    const auto at = line.find("NTP_SERVER_");
    if (at == std::string::npos) continue;
    const std::string name =
        line.substr(at, line.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", at) - at);
    const auto option = std::ranges::find(options(), name, environment_name);
    ASSERT_NE(option, options().end()) << line;
    if (!line.starts_with("| `")) continue;
    ++rows;
    const std::string fallback = fmt::format("| `{}` |", option->fallback);
    EXPECT_NE(replaced(line, ", [", ",[").find(fallback), std::string::npos) << line;
  }
  EXPECT_GE(rows, 9);
}

// "#stratum = 3" is a setting, "#[[source]]" begins a source; "# stratum" is prose.
bool is_commented_setting(std::string_view line) {
  return line.size() > 1 && line[0] == '#' &&
         ((line[1] >= 'a' && line[1] <= 'z') || line[1] == '[');
}

TEST(Documents, ExampleFileChangesNothingAsItStands) {
  const auto loaded = load_text(read("packaging/examples/ntp.toml"));
  ASSERT_TRUE(loaded.has_value()) << to_string(loaded.error().front());
  EXPECT_EQ(loaded->settings, defaults());
}

// The comment above each key, unwrapped, is the table's sentence; how it is wrapped is free.
TEST(Documents, ExampleFileExplainsEverySettingInTheWordsOfTheTable) {
  const std::string page = replaced(read("packaging/examples/ntp.toml"), "\n# ", " ");
  const auto expect_comment = [&page](const Option& option) {
    const std::string comment = fmt::format("{}. Values: {}.\n#{} = ", sentence(option.help),
                                            option.expects, option.name());
    EXPECT_NE(page.find(" " + comment), std::string::npos)
        << option.key << ", write: # " << comment;
  };
  std::ranges::for_each(options(), expect_comment);
  std::ranges::for_each(source_fields(), expect_comment, &SourceField::option);
}

TEST(Documents, ExampleFileStatesEveryDefault) {
  std::istringstream lines(read("packaging/examples/ntp.toml"));
  std::string text;
  std::string line;
  while (std::getline(lines, line))
    text += (is_commented_setting(line) ? line.substr(1) : line) + '\n';
  auto loaded = load_text(text, "ntp.toml");
  ASSERT_TRUE(loaded.has_value()) << to_string(loaded.error().front());
  for (std::size_t i = 0; i < options().size(); ++i) {
    EXPECT_EQ(loaded->origins[i].kind, Origin::Kind::file) << options()[i].key << " is missing";
    EXPECT_NE(
        text.find(fmt::format("\n{} = {}\n", options()[i].name(), show_default(options()[i]))),
        std::string::npos)
        << options()[i].key;
  }
  ASSERT_EQ(loaded->settings.sources.size(), 1u);
  for (std::size_t i = 0; i < source_fields().size(); ++i) {
    EXPECT_EQ(loaded->source_origins[0][i].kind, Origin::Kind::file)
        << source_fields()[i].option.key << " is missing";
  }
  EXPECT_EQ(loaded->settings.sources[0], client::SourceOptions{.host = "ntp.example.org"});
  loaded->settings.sources.clear();
  loaded->settings.server.listen_is_default = true;
  loaded->settings.nts.listen_is_default = true;
  EXPECT_EQ(loaded->settings, defaults());
}

}  // namespace
}  // namespace ntp::config

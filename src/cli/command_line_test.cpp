#include "cli/command_line.h"

#include <gtest/gtest.h>

#include "cli/help.h"
#include "config/options.h"

namespace ntp::cli {
namespace {

using namespace std::chrono_literals;
using Words = std::vector<std::string>;

CommandLine parsed(Words words) {
  auto line = parse_command_line(std::move(words));
  EXPECT_TRUE(line.has_value()) << line.error().message;
  return line ? *line : CommandLine{};
}

std::string refused(Words words) {
  const auto line = parse_command_line(std::move(words));
  return line ? "accepted" : line.error().message;
}

TEST(CommandLine, RunsWhenNoCommandIsNamed) {
  EXPECT_EQ(parsed({}).command, Command::run);
  EXPECT_EQ(parsed({"run"}).command, Command::run);
  EXPECT_EQ(parsed({"--log-requests"}).command, Command::run);
}

TEST(CommandLine, KnowsEveryCommand) {
  EXPECT_EQ(parsed({"healthcheck"}).command, Command::healthcheck);
  EXPECT_EQ(parsed({"query", "::1"}).command, Command::query);
  EXPECT_EQ(parsed({"check"}).command, Command::check);
  EXPECT_EQ(parsed({"config", "show"}).command, Command::config_show);
  EXPECT_EQ(parsed({"version"}).command, Command::version);
  EXPECT_EQ(parsed({"--version"}).command, Command::version);
}

TEST(CommandLine, TakesEveryFlagOfASettingWithAndWithoutRun) {
  for (const auto& option : config::options()) {
    if (option.flag.empty()) continue;
    Words flag{std::string(option.flag)};
    if (!option.argument.empty()) flag.emplace_back("value");
    for (const Words& before : {Words{}, Words{"run"}, Words{"check"}, Words{"config", "show"}}) {
      Words after = before;
      after.insert(after.end(), flag.begin(), flag.end());
      Words first = flag;
      first.insert(first.end(), before.begin(), before.end());
      for (const auto& words : {after, first}) {
        const auto line = parsed(words);
        ASSERT_EQ(line.flags.size(), 1u) << option.flag;
        EXPECT_EQ(line.flags[0].key, option.key);
        EXPECT_EQ(line.flags[0].flag, option.flag);
        EXPECT_EQ(line.flags[0].value, option.argument.empty() ? "true" : "value");
      }
    }
  }
}

TEST(CommandLine, KeepsEveryListenFlagInOrder) {
  const auto line = parsed({"--listen", "192.0.2.1", "run", "--listen=[::1]:99", "--listen", "::"});
  ASSERT_EQ(line.flags.size(), 3u);
  EXPECT_EQ(line.flags[0].value, "192.0.2.1");
  EXPECT_EQ(line.flags[1].value, "[::1]:99");
  EXPECT_EQ(line.flags[2].value, "::");
}

TEST(CommandLine, TakesTheConfigurationFileOnce) {
  EXPECT_EQ(parsed({"--config", "a.toml"}).config, "a.toml");
  EXPECT_EQ(parsed({"check", "--config=a.toml"}).config, "a.toml");
  EXPECT_EQ(parsed({"healthcheck", "--config", "a.toml"}).config, "a.toml");
  EXPECT_EQ(parsed({}).config, std::nullopt);
  EXPECT_EQ(refused({"--config", "a", "--config", "b"}), "--config is given twice");
  EXPECT_EQ(refused({"--config", "a", "run", "--config", "b"}), "--config is given twice");
  EXPECT_EQ(refused({"--config"}), "--config needs a value");
}

TEST(CommandLine, ReadsTheOptionsOfHealthcheck) {
  const auto plain = parsed({"healthcheck"}).healthcheck;
  EXPECT_EQ(plain.max_error, std::nullopt);
  EXPECT_EQ(plain.timeout, 2s);
  EXPECT_EQ(plain.server.socket, "");
  const auto full =
      parsed({"healthcheck", "--max-error", "1.5ms", "--timeout", "500ms", "--socket", "/run/x"})
          .healthcheck;
  EXPECT_EQ(full.max_error, 1500us);
  EXPECT_EQ(full.timeout, 500ms);
  EXPECT_EQ(full.server.socket, "/run/x");
}

TEST(CommandLine, ReadsTheOptionsOfQuery) {
  const auto plain = parsed({"query", "time.example.net:1123"}).query;
  EXPECT_EQ(plain.host, "time.example.net:1123");
  EXPECT_EQ(plain.count, 1);
  EXPECT_FALSE(plain.json);
  EXPECT_EQ(plain.timeout, 2s);
  EXPECT_FALSE(plain.nts);
  const auto by_nts = parsed({"query", "a", "--nts", "--ca", "/ca.crt"}).query;
  EXPECT_TRUE(by_nts.nts);
  EXPECT_EQ(by_nts.ca, "/ca.crt");
  const auto full = parsed({"query", "--count", "4", "--json", "[::1]", "--timeout=1s"}).query;
  EXPECT_EQ(full.host, "[::1]");
  EXPECT_EQ(full.count, 4);
  EXPECT_TRUE(full.json);
  EXPECT_EQ(full.timeout, 1s);
}

TEST(CommandLine, SaysWhatIsWrong) {
  const struct {
    Words words;
    const char* message;
  } cases[] = {
      {{"--lisen", "::"}, "unknown option \"--lisen\"; did you mean \"--listen\"?"},
      {{"--lisen=::"}, "unknown option \"--lisen\"; did you mean \"--listen\"?"},
      {{"--log_level", "info"}, "unknown option \"--log_level\"; did you mean \"--log-level\"?"},
      {{"-x"}, "unknown option \"-x\""},
      {{"cehck"}, "unknown command \"cehck\"; did you mean \"check\"?"},
      {{"serve"}, "unknown command \"serve\""},
      {{"run", "now"}, "unexpected argument \"now\""},
      {{"config"}, "config needs to be told what to do: config show"},
      {{"config", "sohw"}, "unknown command \"sohw\"; did you mean \"show\"?"},
      {{"check", "--jsn"}, "unknown option \"--jsn\""},
      {{"query"}, "HOST is missing"},
      {{"query", ""}, "HOST is empty"},
      {{"query", "a", "b"}, "unexpected argument \"b\""},
      {{"query", "a", "--jsn"}, "unknown option \"--jsn\"; did you mean \"--json\"?"},
      {{"query", "a", "--count", "0"},
       "--count is \"0\"; it must be a whole number from 1 to 1000"},
      {{"query", "a", "--count", "x"},
       "--count is \"x\"; it must be a whole number from 1 to 1000"},
      {{"query", "a", "--count", "1", "--count", "2"}, "--count is given twice"},
      {{"query", "a", "--ca", "/x"}, "--ca means nothing without --nts"},
      {{"query", "a", "--timeout", "2"},
       "--timeout is \"2\", a number without a unit; write the unit: \"100ms\", \"1.5s\""},
      {{"query", "a", "--timeout", "2m"},
       "--timeout is \"2m\"; it must be a duration from 1ms to 60s"},
      {{"--threads", "2", "query", "a"}, "--threads means nothing to query"},
      {{"--config", "x", "query", "a"}, "--config means nothing to query"},
      {{"--http", "off", "healthcheck"}, "--http means nothing to healthcheck"},
      {{"healthcheck", "--max-error", "0s"},
       "--max-error is \"0s\"; it must be a duration from 1us to 16s"},
      {{"healthcheck", "--max-error"}, "--max-error needs a value"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(refused(c.words), c.message);
  }
}

TEST(CommandLine, ExitsWithTwoForUsageButWithOneForHealthcheck) {
  EXPECT_EQ(parse_command_line({"--bogus"}).error().exit_code, 2);
  EXPECT_EQ(parse_command_line({"query"}).error().exit_code, 2);
  EXPECT_EQ(parse_command_line({"healthcheck", "--bogus"}).error().exit_code, 1);
  EXPECT_EQ(parse_command_line({"healthcheck", "--timeout", "1"}).error().exit_code, 1);
}

TEST(CommandLine, PointsToTheHelpOfTheRightCommand) {
  EXPECT_EQ(parse_command_line({"--bogus"}).error().command, "ntp-server");
  EXPECT_EQ(parse_command_line({"query"}).error().command, "ntp-server query");
  EXPECT_EQ(parse_command_line({"config", "show", "x"}).error().command, "ntp-server config show");
}

TEST(CommandLine, ExplainsEveryCommandInLinesOfATerminal) {
  for (const Words& command :
       {Words{}, Words{"run"}, Words{"healthcheck"}, Words{"query"}, Words{"check"},
        Words{"config"}, Words{"config", "show"}, Words{"version"}}) {
    for (const char* flag : {"--help", "-h"}) {
      Words words = command;
      words.emplace_back(flag);
      const auto line = parsed(words);
      ASSERT_EQ(line.command, Command::help);
      EXPECT_NE(line.help.find("Usage: ntp-server"), std::string::npos);
      if (!command.empty() && command[0] != "version") {
        EXPECT_NE(line.help.find("Examples:"), std::string::npos) << command[0];
      }
      std::size_t start = 0;
      while (start < line.help.size()) {
        const auto end = line.help.find('\n', start);
        EXPECT_LE(end - start, 80u) << line.help.substr(start, end - start);
        start = end + 1;
      }
    }
  }
}

TEST(CommandLine, TakesSourcesSeveralTimes) {
  const auto line = parsed({"--source", "a.example", "run", "--source", "pool:b.example"});
  ASSERT_EQ(line.flags.size(), 2u);
  for (const auto& flag : line.flags) EXPECT_EQ(flag.key, "source.address");
  EXPECT_NE(parsed({"--help"}).help.find("--source [nts:][pool:]HOST[:PORT]"), std::string::npos);
}

TEST(CommandLine, NamesEveryFlagAndItsDefaultInHelp) {
  std::string help = parsed({"--help"}).help;
  std::erase(help, '\n');
  for (const auto& option : config::options()) {
    if (option.flag.empty()) continue;
    EXPECT_NE(help.find(option.flag), std::string::npos) << option.flag;
  }
  EXPECT_NE(help.find("127.0.0.1:9559"), std::string::npos);
}

TEST(Help, WrapsAndLeavesOutEmptySections) {
  const Help help{.about = "About.",
                  .usage = {"x [OPTIONS]", "x COMMAND"},
                  .sections = {{.title = "Nothing", .rows = {}},
                               {.title = "Options",
                                .rows = {{"-a", std::string(20, 'y') + ' ' + std::string(40, 'z')},
                                         {"--a-name-that-leaves-no-room", "text"}}}},
                  .footer = "The end."};
  EXPECT_EQ(to_string(help),
            "About.\n\n"
            "Usage: x [OPTIONS]\n"
            "       x COMMAND\n"
            "\nOptions:\n"
            "  -a                       yyyyyyyyyyyyyyyyyyyy\n"
            "                           zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\n"
            "  --a-name-that-leaves-no-room\n"
            "                           text\n"
            "\nThe end.\n");
}

}  // namespace
}  // namespace ntp::cli

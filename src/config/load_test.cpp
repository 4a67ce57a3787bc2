#include "config/load.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ntp::config {
namespace {

std::vector<std::string> lines(const std::expected<Loaded, Problems>& result) {
  std::vector<std::string> out;
  if (result) return out;
  for (const auto& problem : result.error()) out.push_back(to_string(problem));
  return out;
}

const Origin& origin(const Loaded& loaded, std::string_view key) {
  for (std::size_t i = 0; i < options().size(); ++i) {
    if (options()[i].key == key) return loaded.origins[i];
  }
  static const Origin none{.name = "no such key"};
  return none;
}

using Lines = std::vector<std::string>;

TEST(Load, OfNothingGivesTheDefaults) {
  const auto loaded = load({});
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->settings, defaults());
  EXPECT_TRUE(loaded->settings.server.listen_is_default);
  for (const auto& where : loaded->origins) EXPECT_EQ(to_string(where), "default");
}

TEST(Load, LetsFlagsWinOverEnvironmentOverDropInsOverTheFile) {
  // Every subset of the four kinds of source names the stratum; the strongest of them must win.
  for (int present = 0; present < 16; ++present) {
    Sources sources;
    std::string expected = "3 default";
    if (present & 1) {
      sources.files.push_back({"ntp.toml", "[server]\nstratum = 4\n"});
      expected = "4 ntp.toml:2:11";
    }
    if (present & 2) {
      sources.files.push_back({"conf.d/10.toml", "server.stratum = 5\n"});
      sources.files.push_back({"conf.d/20.toml", "server.stratum = 6\n"});
      expected = "6 conf.d/20.toml:1:18";
    }
    if (present & 4) {
      sources.environment.emplace_back("NTP_SERVER_SERVER_STRATUM", "7");
      expected = "7 environment NTP_SERVER_SERVER_STRATUM";
    }
    if (present & 8) {
      sources.flags.push_back({"server.stratum", "8", "--stratum"});
      expected = "8 flag --stratum";
    }
    const auto loaded = load(sources);
    ASSERT_TRUE(loaded.has_value()) << present;
    EXPECT_EQ(std::to_string(loaded->settings.server.stratum) + " " +
                  to_string(origin(*loaded, "server.stratum")),
              expected);
  }
}

TEST(Load, ReplacesAListInsteadOfAddingToIt) {
  const auto loaded =
      load({.files = {{"ntp.toml", "server.listen = ['192.0.2.1', '192.0.2.2']\n"}},
            .environment = {{"NTP_SERVER_SERVER_LISTEN", "192.0.2.3, 192.0.2.4:99"}}});
  ASSERT_TRUE(loaded.has_value());
  ASSERT_EQ(loaded->settings.server.listen.size(), 2u);
  EXPECT_EQ(to_string(loaded->settings.server.listen[0]), "192.0.2.3:123");
  EXPECT_EQ(to_string(loaded->settings.server.listen[1]), "192.0.2.4:99");
  EXPECT_FALSE(loaded->settings.server.listen_is_default);
}

TEST(Load, GathersTheListenFlagAndRefusesOthersTwice) {
  const auto loaded = load({.flags = {{"server.listen", "192.0.2.1", "--listen"},
                                      {"server.listen", "[::1]:99", "--listen"}}});
  ASSERT_TRUE(loaded.has_value());
  ASSERT_EQ(loaded->settings.server.listen.size(), 2u);
  EXPECT_EQ(to_string(loaded->settings.server.listen[1]), "[::1]:99");

  const auto twice =
      load({.flags = {{"server.threads", "1", "--threads"}, {"server.threads", "2", "--threads"}}});
  EXPECT_EQ(lines(twice), Lines{"--threads: given twice; once is enough"});
}

TEST(Load, KnowsWhetherListenIsTheDefault) {
  const auto written = load_text(R"(server.listen = ["0.0.0.0:123", "[::]:123"])");
  ASSERT_TRUE(written.has_value());
  EXPECT_EQ(written->settings.server.listen, defaults().server.listen);
  EXPECT_FALSE(written->settings.server.listen_is_default);  // a family may not be missing now
}

TEST(Load, ReportsEveryProblemOfEverySourceInOrder) {
  const auto result =
      load({.files = {{"ntp.toml",
                       "[server]\n"
                       "stratum = 16\n"
                       "listen = ['x', '192.0.2.1', 'y']\n"
                       "zebra = 1\n"
                       "[htp]\n"},
                      {"conf.d/a.toml", "[log\n"},
                      {"conf.d/b.toml", "log.level = 'loud'\n"}},
            .environment = {{"NTP_SERVER_LOG_FORMAT", "xml"}, {"NTP_SERVER_LOG_LEVL", "info"}},
            .flags = {{"server.threads", "-1", "--threads"}}});
  const auto all = lines(result);
  ASSERT_EQ(all.size(), 10u);
  EXPECT_EQ(all[0], "ntp.toml:2:11: server.stratum is 16; it must be a whole number from 1 to 15");
  EXPECT_TRUE(all[1].starts_with("ntp.toml:3:11: server.listen has \"x\"")) << all[1];
  EXPECT_TRUE(all[2].starts_with("ntp.toml:3:29: server.listen has \"y\"")) << all[2];
  EXPECT_EQ(all[3], "ntp.toml:4:1: unknown key \"zebra\" in [server]");
  EXPECT_EQ(all[4], "ntp.toml:5:2: unknown section \"htp\"; did you mean \"http\"?");
  EXPECT_TRUE(all[5].starts_with("conf.d/a.toml:1:")) << all[5];
  EXPECT_TRUE(all[6].starts_with("conf.d/b.toml:1:13: log.level is \"loud\"")) << all[6];
  EXPECT_EQ(
      all[7],
      "environment NTP_SERVER_LOG_LEVL: unknown setting; did you mean \"NTP_SERVER_LOG_LEVEL\"?");
  EXPECT_EQ(
      all[8],
      "environment NTP_SERVER_LOG_FORMAT: log.format is \"xml\"; it must be \"text\", \"json\" or "
      "\"logfmt\"");
  EXPECT_EQ(
      all[9],
      "--threads: server.threads is \"-1\"; it must be \"auto\" or a whole number from 0 to 64");
}

TEST(Load, RefusesABadValueEvenWhereABetterSourceOverridesIt) {
  const auto result = load({.files = {{"ntp.toml", "server.stratum = 99\n"}},
                            .environment = {{"NTP_SERVER_SERVER_STRATUM", "4"}}});
  EXPECT_EQ(lines(result),
            Lines{"ntp.toml:1:18: server.stratum is 99; it must be a whole number from "
                  "1 to 15"});
}

TEST(Load, BlamesTheSourceOfValuesThatDoNotGoTogether) {
  const auto result = load({.environment = {{"NTP_SERVER_HOST_CLOCK_MAX_ROOT_DISTANCE", "1ms"}}});
  EXPECT_EQ(
      lines(result),
      Lines{"environment NTP_SERVER_HOST_CLOCK_MAX_ROOT_DISTANCE: host_clock.error_floor (1ms) is "
            "not below host_clock.max_root_distance (1ms); the host's clock could never count as "
            "synchronised"});
}

TEST(Load, ShowsOnlyTheBeginningOfALongValue) {
  const std::string text(5000, 'x');
  const auto loaded = load_text("log.level = '" + text + "'\n");
  ASSERT_FALSE(loaded.has_value());
  const std::string told = to_string(loaded.error().front());
  EXPECT_NE(told.find("xxx\"…"), std::string::npos) << told;
  EXPECT_LT(told.size(), 300u);
}

TEST(Load, RefusesMoreAddressesThanSocketsMakeSense) {
  const auto list = [](int size) {
    std::string text;
    for (int i = 0; i < size; ++i) text += "192.0.2.1:" + std::to_string(1000 + i) + ' ';
    return load({.environment = {{"NTP_SERVER_SERVER_LISTEN", text}}});
  };
  EXPECT_TRUE(list(64).has_value());
  const auto refused = list(65);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(to_string(refused.error().front()).find("has over 64 addresses"), std::string::npos);
}

TEST(Load, WarnsOfALocalStratumThatHidesTheLossOfSynchronisation) {
  const auto local = load_text("[server]\nstratum = 10\n");
  ASSERT_TRUE(local.has_value());
  ASSERT_EQ(local->settings.warnings.size(), 1u);
  EXPECT_TRUE(local->settings.warnings[0].starts_with("server.local_stratum (10) is not above"));
  const auto refuse = load_text("[server]\nstratum = 10\nunsynchronised = 'refuse'\n");
  ASSERT_TRUE(refuse.has_value());
  EXPECT_TRUE(refuse->settings.warnings.empty());
}

TEST(Load, WarnsOfAnErrorUnknownThatCanNeverBeBelieved) {
  const auto loaded = load_text("host_clock.max_root_distance = '100ms'\n");  // the default of both
  ASSERT_TRUE(loaded.has_value());
  ASSERT_EQ(loaded->settings.warnings.size(), 1u);
  EXPECT_TRUE(loaded->settings.warnings[0].starts_with(
      "host_clock.error_unknown (100ms) is not below host_clock.max_root_distance (100ms)"));
  EXPECT_TRUE(load_text("host_clock.max_root_distance = '101ms'\n")->settings.warnings.empty());
}

TEST(Load, CountsTheSourcesThatMinsourcesNeeds) {
  const auto is_good = [](int minsources, std::string sources) {
    return load_text(fmt::format("clock.minsources = {}\n{}", minsources, sources)).has_value();
  };
  const std::string server = "[[source]]\naddress = '192.0.2.1'\n";
  const std::string pool = "[[source]]\naddress = 'a.example'\nmode = 'pool'\nmax_sources = 3\n";
  EXPECT_TRUE(is_good(64, "")) << "without sources it means nothing";
  EXPECT_TRUE(is_good(4, server + pool));
  EXPECT_FALSE(is_good(5, server + pool));
  EXPECT_TRUE(is_good(3, server + "noselect = true\n" + pool));
  EXPECT_FALSE(is_good(4, server + "noselect = true\n" + pool));
}

TEST(Load, WarnsWhenRootWouldStayRoot) {
  const auto loaded = load_text("server.user = 0\n");
  ASSERT_TRUE(loaded.has_value());
  ASSERT_EQ(loaded->settings.warnings.size(), 1u);
  EXPECT_TRUE(loaded->settings.warnings[0].starts_with("server.user is root"));
}

TEST(Load, LimitsTheDepthOfTablesBeforeTheParserRecurses) {
  std::string deep = "a";
  for (int i = 0; i < 500'000; ++i) deep += ".a";
  EXPECT_EQ(
      lines(load_text("[" + deep + "]\n")),
      Lines{
          "ntp.toml: over 4096 dots outside comments; this is not a configuration of ntp-server"});
  EXPECT_TRUE(load_text("#" + std::string(5000, '.') + "\n").has_value());
}

TEST(ExitCode, SaysWhoHasToActFirst) {
  const Problem file{.where = {.kind = Origin::Kind::file}};
  const Problem unreadable{.where = {.kind = Origin::Kind::file}, .no_permission = true};
  const Problem variable{.where = {.kind = Origin::Kind::environment}};
  const Problem flag{.where = {.kind = Origin::Kind::flag}};
  EXPECT_EQ(exit_code(Problems{flag}), 2);
  EXPECT_EQ(exit_code(Problems{file}), 78);
  EXPECT_EQ(exit_code(Problems{variable}), 78);
  EXPECT_EQ(exit_code(Problems{variable, flag}), 78);
  EXPECT_EQ(exit_code(Problems{file, unreadable, flag}), 77);
}

TEST(LoadWhatIsGood, KeepsTheDefaultsOfWhatIsWrong) {
  const auto load_text_leniently = [](std::string text) {
    return load_what_is_good({.files = {{.name = "ntp.toml", .text = std::move(text)}}});
  };
  EXPECT_EQ(load_text_leniently("[server]\nstratum = 99\nstratun = 1\n[health]\nsocket = '/x'\n")
                .health_socket,
            "/x");
  EXPECT_EQ(load_text_leniently("[health]\nsocket = 5\n").health_socket, "");
  EXPECT_EQ(load_text_leniently("[health\nsocket = '/x'\n").health_socket, "") << "not even TOML";
}

}  // namespace
}  // namespace ntp::config

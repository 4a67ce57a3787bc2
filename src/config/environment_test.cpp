#include <gtest/gtest.h>

#include "config/load.h"

namespace ntp::config {
namespace {

using Environment = std::vector<std::pair<std::string, std::string>>;

std::expected<Loaded, Problems> load_environment(Environment environment) {
  return load({.environment = std::move(environment)});
}

std::string first_problem(Environment environment) {
  const auto loaded = load_environment(std::move(environment));
  return loaded ? "none" : to_string(loaded.error().front());
}

TEST(Environment, SetsEverySetting) {
  for (const auto& option : options()) {
    if (option.fallback.empty()) continue;  // empty means not set
    const auto loaded =
        load_environment({{environment_name(option), std::string(option.fallback)}});
    ASSERT_TRUE(loaded.has_value()) << option.key;
    EXPECT_EQ(loaded->origins[static_cast<std::size_t>(&option - options().data())].name,
              environment_name(option));
  }
}

TEST(Environment, TakesTheWordsOfTheCommonImagesForBooleans) {
  for (const char* yes : {"Y", "yes", "true", "1", "on"}) {
    const auto loaded = load_environment({{"NTP_SERVER_LOG_REQUESTS", yes}});
    ASSERT_TRUE(loaded.has_value()) << yes;
    EXPECT_TRUE(loaded->settings.log.requests) << yes;
  }
  EXPECT_EQ(
      first_problem({{"NTP_SERVER_LOG_REQUESTS", "maybe"}}),
      "environment NTP_SERVER_LOG_REQUESTS: log.requests is \"maybe\"; it must be true or false");
}

TEST(Environment, TreatsAnEmptyValueAsNotSet) {
  // Compose files write NAME=${NAME:-}.
  const auto loaded = load_environment({{"NTP_SERVER_SERVER_STRATUM", ""},
                                        {"NTP_SERVER_WEATHER", ""},
                                        {"NTP_SERVERS", ""},
                                        {"LOG_LEVEL", ""}});
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->settings, defaults());
}

TEST(Environment, RefusesUnknownNamesOfOurPrefix) {
  EXPECT_EQ(first_problem({{"NTP_SERVER_SERVER_STRATUN", "3"}}),
            "environment NTP_SERVER_SERVER_STRATUN: unknown setting; did you mean "
            "\"NTP_SERVER_SERVER_STRATUM\"?");
  EXPECT_EQ(first_problem({{"NTP_SERVER_STRATUM", "3"}}),
            "environment NTP_SERVER_STRATUM: unknown setting; did you mean "
            "\"NTP_SERVER_SERVER_STRATUM\"?");
  EXPECT_EQ(first_problem({{"NTP_SERVER_WEATHER", "3"}}),
            "environment NTP_SERVER_WEATHER: unknown setting");
  EXPECT_EQ(first_problem({{"NTP_SERVER_", "3"}}), "environment NTP_SERVER_: unknown setting");
  EXPECT_EQ(first_problem({{"NTP_SERVER", "3"}, {"PATH", "/bin"}, {"ntp_server_x", "3"}}), "none");
}

TEST(Environment, IsNotConfusedByWhatKubernetesAndDockerLinksAdd) {
  // With a service called ntp-server, ntp-server-http or ntp-server-log in the pod's namespace.
  EXPECT_EQ(first_problem({{"NTP_SERVER_SERVICE_HOST", "10.96.0.7"},
                           {"NTP_SERVER_SERVICE_PORT", "123"},
                           {"NTP_SERVER_SERVICE_PORT_NTP", "123"},
                           {"NTP_SERVER_PORT", "udp://10.96.0.7:123"},
                           {"NTP_SERVER_PORT_123_UDP", "udp://10.96.0.7:123"},
                           {"NTP_SERVER_PORT_123_UDP_PROTO", "udp"},
                           {"NTP_SERVER_PORT_123_UDP_PORT", "123"},
                           {"NTP_SERVER_PORT_123_UDP_ADDR", "10.96.0.7"},
                           {"NTP_SERVER_HTTP_SERVICE_HOST", "10.96.0.8"},
                           {"NTP_SERVER_HTTP_PORT", "tcp://10.96.0.8:9559"},
                           {"NTP_SERVER_HTTP_PORT_9559_TCP_ADDR", "10.96.0.8"},
                           {"NTP_SERVER_NAME", "/client/ntp-server"},
                           {"NTP_SERVER_ENV_TZ", "Europe/Berlin"}}),
            "none");
  // But what only looks alike is still a mistake.
  EXPECT_EQ(first_problem({{"NTP_SERVER_HTTP_PORT", "9559"}}),
            "environment NTP_SERVER_HTTP_PORT: unknown setting");
  EXPECT_EQ(first_problem({{"NTP_SERVER_PORT", "123"}}),
            "environment NTP_SERVER_PORT: unknown setting");
}

TEST(Environment, TakesLogLevelAsWordsAndAsTheNumbersOfChrony) {
  const std::pair<const char*, LogLevel> cases[] = {
      {"0", LogLevel::info},          {"1", LogLevel::warning},    {"2", LogLevel::error},
      {"3", LogLevel::error},         {"debug", LogLevel::debug},  {"INFO", LogLevel::info},
      {"Warning", LogLevel::warning}, {"warn", LogLevel::warning}, {"err", LogLevel::error},
  };
  for (const auto& [text, level] : cases) {
    const auto loaded = load_environment({{"LOG_LEVEL", text}});
    ASSERT_TRUE(loaded.has_value()) << text;
    EXPECT_EQ(loaded->settings.log.level, level) << text;
    EXPECT_TRUE(loaded->settings.warnings.empty()) << text;
  }
}

TEST(Environment, PrefersOurOwnNameToTheAlias) {
  const auto loaded = load_environment({{"LOG_LEVEL", "debug"}, {"NTP_SERVER_LOG_LEVEL", "error"}});
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->settings.log.level, LogLevel::error);
}

TEST(Environment, IgnoresALogLevelOfAnotherProgramAloud) {
  const auto loaded = load_environment({{"LOG_LEVEL", "trace"}});
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->settings.log.level, LogLevel::info);
  ASSERT_EQ(loaded->settings.warnings.size(), 1u);
  EXPECT_EQ(
      loaded->settings.warnings[0],
      "LOG_LEVEL is \"trace\", which is ignored; it may be \"error\", \"warning\", \"info\" or "
      "\"debug\", or a number from 0 to 3");
}

TEST(Environment, SaysWhatTheOtherImagesVariablesDoNotDoHere) {
  const auto loaded = load_environment({{"ENABLE_NTS", "true"},
                                        {"ENABLE_SYSCLK", "yes"},
                                        {"NTP_DIRECTIVES", "ratelimit\\nrtcsync"},
                                        {"NOCLIENTLOG", "true"},
                                        {"TZ", "Europe/Berlin"}});
  ASSERT_TRUE(loaded.has_value());
  const auto& warnings = loaded->settings.warnings;
  ASSERT_EQ(warnings.size(), 3u);
  EXPECT_TRUE(warnings[0].starts_with("ENABLE_NTS is set"));
  EXPECT_TRUE(warnings[1].starts_with("ENABLE_SYSCLK is set"));
  EXPECT_TRUE(warnings[2].starts_with("NTP_DIRECTIVES is set"));
  const auto off = load_environment({{"ENABLE_NTS", "false"}, {"ENABLE_SYSCLK", "0"}});
  ASSERT_TRUE(off.has_value());
  EXPECT_TRUE(off->settings.warnings.empty());
}

TEST(Environment, FindsThePortOfAServiceBehindANameThatHasTheWordToo) {
  // A service called ntp-server-port-map.
  EXPECT_EQ(first_problem({{"NTP_SERVER_PORT_MAP_PORT_123_UDP_ADDR", "10.96.0.7"}}), "none");
  EXPECT_EQ(first_problem({{"NTP_SERVER_PORT_MAP_PORT_ABC", "10.96.0.7"}}),
            "environment NTP_SERVER_PORT_MAP_PORT_ABC: unknown setting");
}

}  // namespace
}  // namespace ntp::config

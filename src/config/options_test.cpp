#include "config/options.h"

#include <gtest/gtest.h>

#include <set>

#include "config/load.h"

namespace ntp::config {
namespace {

TEST(Options, HaveTheDefaultsThatTheSettingsStructsState) {
  // Two places name the defaults: the table, for people, and settings.h, for tests that make a
  // Settings of their own. The addresses to listen on have none in settings.h.
  Settings plain;
  plain.server.listen = defaults().server.listen;
  plain.nts.listen = defaults().nts.listen;
  plain.http.listen = defaults().http.listen;
  EXPECT_EQ(plain, defaults());
}

TEST(Options, HaveTheDefaultsThatTheDocumentsPromise) {
  const std::pair<const char*, const char*> expected[] = {
      {"server.listen", R"(["0.0.0.0:123", "[::]:123"])"},
      {"server.threads", R"("auto")"},
      {"server.stratum", "3"},
      {"server.unsynchronised", R"("local")"},
      {"server.local_stratum", "10"},
      {"server.poll_minimum", "-6"},
      {"server.user", R"("65532:65532")"},
      {"server.sandbox", R"("auto")"},
      {"server.keys_file", R"("")"},
      {"host_clock.error_floor", R"("1ms")"},
      {"host_clock.error_unknown", R"("100ms")"},
      {"host_clock.max_root_distance", R"("1.5s")"},
      {"clock.unsynchronised", R"("refuse")"},
      {"clock.local_wait", R"("0s")"},
      {"clock.orphan_wait", R"("300s")"},
      {"clock.minsources", "1"},
      {"clock.max_root_distance", R"("1.5s")"},
      {"clock.leap_seconds", R"("system")"},
      {"clock.state_directory", R"("")"},
      {"clock.steer", R"("none")"},
      {"clock.step_threshold", R"("500ms")"},
      {"clock.step_updates", "3"},
      {"clock.max_change", R"("1000s")"},
      {"access.allow", "[]"},
      {"access.deny", "[]"},
      {"access.rules", R"("")"},
      {"access.unlisted", R"("auto")"},
      {"rate.limit", "1000"},
      {"rate.burst", "8000"},
      {"rate.leak", "2"},
      {"rate.prefix_limit", "16000"},
      {"rate.kiss", "false"},
      {"nts.certificate", R"("")"},
      {"nts.key", R"("")"},
      {"nts.listen", R"(["0.0.0.0:4460", "[::]:4460"])"},
      {"nts.cookie_secret_file", R"("")"},
      {"nts.cookie_secret_previous_file", R"("")"},
      {"nts.certificate_times", R"("always")"},
      {"nts.rotation", R"("86400s")"},
      {"http.listen", R"("127.0.0.1:9559")"},
      {"http.max_error", R"("100ms")"},
      {"health.socket", R"("")"},
      {"log.level", R"("info")"},
      {"log.format", R"("text")"},
      {"log.requests", "false"},
  };
  ASSERT_EQ(options().size(), std::size(expected));
  for (std::size_t i = 0; i < options().size(); ++i) {
    EXPECT_EQ(options()[i].key, expected[i].first);
    EXPECT_EQ(show_default(options()[i]), expected[i].second);
  }
}

TEST(Options, AreNamedAndDescribedCompletely) {
  std::set<std::string> names;
  std::set<std::string_view> flags;
  for (const auto& option : options()) {
    EXPECT_NE(option.key.find('.'), std::string_view::npos) << option.key;
    EXPECT_TRUE(names.insert(environment_name(option)).second) << option.key;
    EXPECT_TRUE(option.flag.empty() || flags.insert(option.flag).second) << option.key;
    EXPECT_FALSE(option.help.empty()) << option.key;
    EXPECT_FALSE(option.help.ends_with('.')) << option.key;
    EXPECT_FALSE(option.expects.empty()) << option.key;
    EXPECT_EQ(find_option(option.key), &option);
  }
  EXPECT_TRUE(names.contains("NTP_SERVER_SERVER_STRATUM"));
  EXPECT_TRUE(names.contains("NTP_SERVER_HOST_CLOCK_MAX_ROOT_DISTANCE"));
  EXPECT_EQ(find_option("server.weather"), nullptr);
  EXPECT_EQ(sections(), (std::vector<std::string_view>{"server", "host_clock", "clock", "access",
                                                       "rate", "nts", "http", "health", "log"}));
}

// Of each setting a value that is not the default.
constexpr std::pair<const char*, const char*> kOther[] = {
    {"server.listen", "192.0.2.1"},
    {"server.threads", "5"},
    {"server.stratum", "4"},
    {"server.unsynchronised", "refuse"},
    {"server.local_stratum", "11"},
    {"server.poll_minimum", "5"},
    {"server.user", "7:8"},
    {"server.sandbox", "off"},
    {"server.keys_file", "/etc/keys"},
    {"host_clock.error_floor", "2ms"},
    {"host_clock.error_unknown", "200ms"},
    {"host_clock.max_root_distance", "2.5s"},
    {"clock.unsynchronised", "orphan"},
    {"clock.local_wait", "3s"},
    {"clock.orphan_wait", "30s"},
    {"clock.minsources", "2"},
    {"clock.max_root_distance", "2.5s"},
    {"clock.leap_seconds", "off"},
    {"clock.state_directory", "/var/lib/x"},
    {"clock.steer", "system"},
    {"clock.step_threshold", "600ms"},
    {"clock.step_updates", "-1"},
    {"clock.max_change", "0s"},
    {"access.allow", "192.0.2.0/24,2001:db8::/32@192.0.2.1"},
    {"access.deny", "198.51.100.7"},
    {"access.rules", "/etc/x"},
    {"access.unlisted", "deny"},
    {"rate.limit", "0"},
    {"rate.burst", "100"},
    {"rate.leak", "4"},
    {"rate.prefix_limit", "0"},
    {"rate.kiss", "true"},
    {"nts.certificate", "/etc/ntp-server/server.crt"},
    {"nts.key", "/etc/ntp-server/server.key"},
    {"nts.listen", "192.0.2.1"},
    {"nts.cookie_secret_file", "/run/secrets/cookies"},
    {"nts.cookie_secret_previous_file", "/run/secrets/cookies-before"},
    {"nts.rotation", "3600s"},
    {"nts.certificate_times", "synchronised"},
    {"http.listen", "off"},
    {"http.max_error", "300ms"},
    {"health.socket", "/run/x"},
    {"log.level", "debug"},
    {"log.format", "json"},
    {"log.requests", "true"},
};

TEST(Options, EachReadsAndShowsASettingOfItsOwn) {
  // A pasted line that reads or shows the wrong member would pass every test of a single key.
  ASSERT_EQ(options().size(), std::size(kOther));
  for (const auto& [key, text] : kOther) {
    const auto* option = find_option(key);
    ASSERT_NE(option, nullptr) << key;
    Settings settings = defaults();
    const Value value{.bare = true, .text = text};
    std::vector<Fault> faults;
    option->read(settings, {*option, value, faults});
    EXPECT_TRUE(faults.empty()) << key;
    EXPECT_EQ(changed(defaults(), settings), std::vector<const Option*>{option}) << key;
    EXPECT_NE(settings, defaults()) << key;
  }
}

TEST(Options, LeaveTheSettingAloneWhenTheValueIsRefused) {
  for (const auto& option : options()) {
    for (const auto type : {Value::Type::table, Value::Type::date, Value::Type::real}) {
      Settings settings = defaults();
      const Value value{.type = type, .line = 3, .column = 4};
      std::vector<Fault> faults;
      option.read(settings, {option, value, faults});
      ASSERT_EQ(faults.size(), 1u) << option.key;
      EXPECT_TRUE(faults[0].what.starts_with(option.key)) << faults[0].what;
      EXPECT_EQ(faults[0].line, 3) << option.key;
      EXPECT_EQ(settings, defaults()) << option.key;
    }
  }
}

}  // namespace
}  // namespace ntp::config

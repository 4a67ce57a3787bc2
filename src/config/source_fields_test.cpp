#include "config/source_fields.h"

#include <gtest/gtest.h>

#include "config/load.h"
#include "config/show.h"

namespace ntp::config {
namespace {

using client::SourceMode;
using client::SourceOptions;
using Variables = std::vector<std::pair<std::string, std::string>>;

std::vector<std::string> lines(const std::expected<Loaded, Problems>& result) {
  std::vector<std::string> out;
  if (result) return out;
  for (const auto& problem : result.error()) out.push_back(to_string(problem));
  return out;
}

std::expected<Loaded, Problems> load_servers(std::string text) {
  return load({.environment = {{"NTP_SERVERS", std::move(text)}}});
}

// "a.example:123 server, b.example:123 pool"
std::string named(const Loaded& loaded) {
  std::string out;
  for (const auto& source : loaded.settings.sources) {
    out += out.empty() ? "" : ", ";
    out += source.host + ':' + std::to_string(source.port);
    out += source.mode == SourceMode::pool ? " pool" : " server";
    if (source.nts) out += " nts";
  }
  return out;
}

TEST(SourceFields, HaveTheDefaultsThatTheOptionsStructStates) {
  const SourceOptions plain;
  for (const auto& field : source_fields()) {
    if (field.option.name() == "address") continue;
    SourceOptions read;
    std::vector<Fault> faults;
    const Value value{.bare = true, .text = std::string(field.option.fallback)};
    field.read(read, {field.option, value, faults});
    EXPECT_TRUE(faults.empty()) << field.option.key;
    EXPECT_EQ(read, plain) << field.option.key;
    EXPECT_FALSE(field.option.help.empty() || field.option.help.ends_with('.'));
    EXPECT_TRUE(field.option.reloadable) << field.option.key;
    EXPECT_EQ(find_source_field(field.option.name()), &field);
  }
  EXPECT_EQ(find_source_field("weather"), nullptr);
}

TEST(SourceFields, EachReadsAndShowsAFieldOfItsOwn) {
  const std::pair<const char*, const char*> other[] = {
      {"address", "a.example:99"},
      {"mode", "pool"},
      {"max_sources", "3"},
      {"iburst", "false"},
      {"minpoll", "-2"},
      {"maxpoll", "7"},
      {"prefer", "true"},
      {"trust", "true"},
      {"noselect", "true"},
      {"require", "true"},
      {"version", "3"},
      {"max_delay", "5ms"},
      {"nts", "true"},
      {"nts_port", "9"},
      {"nts_ca", "/a/ca.crt"},
      {"key", "7"},
  };
  ASSERT_EQ(source_fields().size(), std::size(other));
  for (const auto& [name, text] : other) {
    SourceOptions read;
    std::vector<Fault> faults;
    const auto* field = find_source_field(name);
    ASSERT_NE(field, nullptr) << name;
    const Value value{.bare = true, .text = text};
    field->read(read, {field->option, value, faults});
    EXPECT_TRUE(faults.empty()) << name;
    for (const auto& each : source_fields()) {
      EXPECT_EQ(each.show(read) != each.show({}), &each == field) << name;
    }
  }
}

TEST(SourceFields, LeaveTheSourceAloneWhenTheValueIsRefused) {
  for (const auto& field : source_fields()) {
    for (const auto type : {Value::Type::table, Value::Type::date, Value::Type::list}) {
      SourceOptions source;
      const Value value{.type = type, .line = 3, .column = 4};
      std::vector<Fault> faults;
      field.read(source, {field.option, value, faults});
      ASSERT_EQ(faults.size(), 1u) << field.option.key;
      EXPECT_TRUE(faults[0].what.starts_with(field.option.key)) << faults[0].what;
      EXPECT_EQ(source, SourceOptions{}) << field.option.key;
    }
  }
}

TEST(NtpServers, MakesSourcesAsTheCommonImagesDo) {
  const std::pair<const char*, const char*> cases[] = {
      {"time.example.net", "time.example.net:123 server"},
      {"a.example,b.example c.example",
       "a.example:123 server, b.example:123 server, "
       "c.example:123 server"},
      {" , a.example ,, ", "a.example:123 server"},
      {"0.pool.ntp.org,1.Pool.NTP.org", "0.pool.ntp.org:123 pool, 1.pool.ntp.org:123 pool"},
      {"pool.ntp.org:1123", "pool.ntp.org:1123 pool"},
      {"pool.ntp.org.", "pool.ntp.org.:123 pool"},
      {"carpool.ntp.org", "carpool.ntp.org:123 server"},
      {"pool:time.example:99", "time.example:99 pool"},
      {"pool:99", "pool:99 server"},
      {"nts:time.example", "time.example:123 server nts"},
      {"nts:pool:time.example:99", "time.example:99 pool nts"},
      {"nts:pool.ntp.org", "pool.ntp.org:123 pool nts"},
      {"nts:99", "nts:99 server"},
      {"nts", "nts:123 server"},
      {"pool", "pool:123 server"},
      {"192.0.2.1,[2001:db8::1]:99,2001:db8::2",
       "192.0.2.1:123 server, 2001:db8::1:99 server, 2001:db8::2:123 server"},
      {"\"a.example\",\"b.example\"", "a.example:123 server, b.example:123 server"},
      {",", ""},
  };
  for (const auto& [text, expected] : cases) {
    const auto loaded = load_servers(text);
    ASSERT_TRUE(loaded.has_value()) << text << ": " << lines(loaded).front();
    EXPECT_EQ(named(*loaded), expected) << text;
    EXPECT_TRUE(loaded->settings.warnings.empty()) << text;
  }
}

TEST(NtpServers, NamesTheVariableInEveryComplaint) {
  EXPECT_EQ(lines(load_servers("a.example,b..example")),
            (std::vector<std::string>{
                "environment NTP_SERVERS: source.address is \"b..example\", which is no name and "
                "no address; it must be NAME, NAME:PORT, ADDR, ADDR:PORT or [IPV6]:PORT"}));
  EXPECT_EQ(lines(load_servers("pool:192.0.2.1")),
            (std::vector<std::string>{
                "environment NTP_SERVERS: \"192.0.2.1\" is an address, which cannot be a pool; a "
                "pool is a name; write mode = \"server\""}));
}

TEST(NtpServers, WarnsOfTwinsAndOfTheLocalClock) {
  const auto loaded = load_servers("a.example,A.example,127.127.1.1");
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(named(*loaded), "a.example:123 server");
  ASSERT_EQ(loaded->settings.warnings.size(), 2u);
  EXPECT_EQ(loaded->settings.warnings[1],
            "\"127.127.1.1\" is no server: the local clock is served by server.unsynchronised");
  EXPECT_EQ(loaded->settings.warnings[0], "NTP_SERVERS names \"a.example\" twice; it is used once");
}

TEST(Sources, OfTheStrongestPlaceReplaceAllOthers) {
  const FileText main{"ntp.toml", "[[source]]\naddress = 'a.example'\n"};
  const FileText drop_in{"conf.d/a.toml", "[[source]]\naddress = 'b.example'\n"};
  const FileText silent{"conf.d/b.toml", "log.level = 'debug'\n"};
  const FileText none{"conf.d/c.toml", "source = []\n"};
  const Variables environment{{"NTP_SERVERS", "c.example"}};
  const std::vector<FlagValue> flags{{"source.address", "d.example", "--source"},
                                     {"source.address", "pool:e.example", "--source"}};
  const auto of = [](const Sources& sources) { return named(load(sources).value()); };
  EXPECT_EQ(of({.files = {main, drop_in, silent}}), "b.example:123 server");
  EXPECT_EQ(of({.files = {main, none}}), "");
  EXPECT_EQ(of({.files = {main}, .environment = environment}), "c.example:123 server");
  EXPECT_EQ(of({.files = {main}, .environment = environment, .flags = flags}),
            "d.example:123 server, e.example:123 pool");
  EXPECT_EQ(of({}), "");
}

TEST(Sources, AreNotWipedByWordsThatNameNone) {
  const FileText main{"ntp.toml", "[[source]]\naddress = 'a.example'\n"};
  for (const char* text : {"", " , ", "127.127.1.1"}) {
    const auto loaded = load({.files = {main}, .environment = {{"NTP_SERVERS", text}}});
    ASSERT_TRUE(loaded.has_value()) << text;
    EXPECT_EQ(named(*loaded), "a.example:123 server") << text;
  }
  for (const char* text : {"", " , "}) {
    EXPECT_EQ(lines(load({.files = {main}, .flags = {{"source.address", text, "--source"}}})),
              (std::vector<std::string>{
                  "--source: source.address is \"\", which is no name and no address; it must be "
                  "NAME, NAME:PORT, ADDR, ADDR:PORT or [IPV6]:PORT"}))
        << text;
  }
}

TEST(Sources, AreShownWithTheirOrigins) {
  const auto loaded = load_text("[[source]]\naddress = 'a.example'\nmaxpoll = 8\n");
  ASSERT_TRUE(loaded.has_value());
  const std::string text = show(*loaded, true);
  EXPECT_NE(text.find("\n[[source]]\naddress = \"a.example\"  # from ntp.toml:2:11\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("maxpoll = 8  # from ntp.toml:3:11\n"), std::string::npos) << text;
  EXPECT_NE(text.find("minpoll = 6  # from default\n"), std::string::npos) << text;
  EXPECT_EQ(show(load_text("").value(), true).find("[[source]]"), std::string::npos);
}

TEST(Sources, AreBounded) {
  std::string text;
  for (int i = 0; i < 64; ++i)
    text += "[[source]]\naddress = 'h" + std::to_string(i) + ".example'\n";
  EXPECT_TRUE(load_text(text).has_value());
  EXPECT_EQ(lines(load_text(text + "[[source]]\naddress = 'one.more'\n")),
            (std::vector<std::string>{"ntp.toml:129:1: over 64 sources; a handful is enough"}));
}

TEST(Sources, CannotBeNamedByAVariableOfOurPrefix) {
  EXPECT_EQ(lines(load({.environment = {{"NTP_SERVER_SOURCE_ADDRESS", "a.example"}}})),
            (std::vector<std::string>{
                "environment NTP_SERVER_SOURCE_ADDRESS: unknown setting; sources are named by "
                "NTP_SERVERS, by --source or in a file"}));
}

TEST(Sources, ReportEveryProblemInOrder) {
  const auto all =
      lines(load_text("[[source]]\nminpoll = 99\nzebra = 1\n"
                      "[[source]]\naddress = 'b.example'\nversion = 2\n"));
  ASSERT_EQ(all.size(), 4u);
  EXPECT_TRUE(all[0].starts_with("ntp.toml:1:1: a source without an address")) << all[0];
  EXPECT_TRUE(all[1].starts_with("ntp.toml:2:11: source.minpoll is 99")) << all[1];
  EXPECT_EQ(all[2], "ntp.toml:3:1: unknown key \"zebra\" in [[source]]");
  EXPECT_EQ(all[3], "ntp.toml:6:11: source.version is 2; it must be 3 or 4");
}

}  // namespace
}  // namespace ntp::config

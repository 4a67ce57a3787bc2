#include "control/status_json.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "control/sample_report.h"

namespace ntp::control {
namespace {

using nlohmann::json;

TEST(StatusJson, TellsWhatIsServed) {
  const auto status = json::parse(status_json(sample_report()));
  EXPECT_EQ(status["schema"], 1);
  EXPECT_EQ(status["version"], "V0.1");
  EXPECT_EQ(status["time"], "2026-11-23T00:19:25.123456789Z");
  EXPECT_EQ(status["uptime_s"], 12.5);
  EXPECT_EQ(status["ready"]["ok"], false);
  EXPECT_EQ(status["ready"]["max_error_s"], 0.1);
  const auto& system = status["system"];
  EXPECT_EQ(system["synchronised"], true);
  EXPECT_EQ(system["serving"], true);
  EXPECT_EQ(system["local_clock"], false);
  EXPECT_EQ(system["leap"], "insert");
  EXPECT_EQ(system["stratum"], 3);
  EXPECT_EQ(system["precision"], -23);
  EXPECT_EQ(system["refid"], "127.127.0.1");
  EXPECT_EQ(std::string(system["reftime"]).substr(0, 25), "2026-11-23T00:19:23.12345");
  EXPECT_EQ(system["root_delay_s"], 0.25);
  EXPECT_EQ(system["root_dispersion_s"], 0.75);
  EXPECT_EQ(system["error_bound_s"], 0.875);
  EXPECT_EQ(status["host_clock"]["standing"], "synchronised");
  EXPECT_EQ(status["host_clock"]["maxerror_s"], 0.0125);
  EXPECT_EQ(status["host_clock"]["tai_offset_s"], 37);
  EXPECT_EQ(status["packets"]["accepted"], 1003);
  EXPECT_EQ(status["packets"]["versions"]["3"], 300);
  EXPECT_EQ(status["packets"]["dropped"]["too_short"], 1);
  EXPECT_EQ(status["packets"]["dropped"].size(), server::kDropCount);
  EXPECT_EQ(status["listening"], json({"0.0.0.0:123", "[::]:123"}));
  EXPECT_EQ(status["workers"]["stalled"], 1);
  EXPECT_EQ(status["reloads"]["error"], 8);
  const auto sandbox = nlohmann::json{{"landlock", 7},
                                      {"system_calls", true},
                                      {"memory", false},
                                      {"refused_calls", 9},
                                      {"unconfined_threads", 0}};
  EXPECT_EQ(nlohmann::json(status["sandbox"]), sandbox);
}

TEST(StatusJson, TellsOfTheSourcesAndTheClockMadeOfThem) {
  const auto status = json::parse(status_json(report_with_a_source()));
  EXPECT_EQ(status["clock"]["state"], "synchronised");
  EXPECT_EQ(status["clock"]["frequency_ppm"], -12.5);
  const auto steering = nlohmann::json{
      {"state", "refused"}, {"error_s", 2000.5},  {"frequency_ppm", -11.25}, {"steps", 21},
      {"refusals", 22},     {"disturbances", 23}, {"failures", 24}};
  EXPECT_EQ(nlohmann::json(status["steering"]), steering);
  ASSERT_EQ(status["sources"].size(), 1u);
  const auto& source = status["sources"][0];
  EXPECT_EQ(source["name"], "ntp.example.net");
  EXPECT_EQ(source["address"], "192.0.2.7:123");
  EXPECT_EQ(source["verdict"], "falseticker");
  EXPECT_NE(std::string(source["why"]).find("outside the majority"), std::string::npos);
  EXPECT_EQ(source["offset_s"], 1.5);
  EXPECT_TRUE(source["delay_s"].is_null()) << "no sample yet";
  EXPECT_TRUE(source["age_s"].is_null());
  EXPECT_EQ(source["frequency_ppm"], 12.5) << "it does not move, the served clock does";
  EXPECT_EQ(source["rejected"], 3);
  EXPECT_EQ(source["rejects"], json({{"bogus", 1}, {"loop", 2}}));
  EXPECT_EQ(source["refused"], "loop");
  EXPECT_NE(std::string(source["why"]).find("refused: the server is synchronised to us"),
            std::string::npos);
  ASSERT_EQ(status["without_address"].size(), 1u);
  EXPECT_EQ(status["without_address"][0]["name"], "nowhere.example.net");
  EXPECT_EQ(status["without_address"][0]["why"], "its name cannot be resolved");
  EXPECT_EQ(status["without_address"][0]["failures"], 3);

  EXPECT_TRUE(status["clock"]["leader"].is_null());

  Report orphan = report_with_a_source();
  auto view = std::make_shared<SourceView>(*orphan.sources);
  view->leader = view->tracked[0].association.id;
  orphan.sources = view;
  EXPECT_EQ(json::parse(status_json(orphan))["clock"]["leader"], "192.0.2.7:123");

  const auto without = json::parse(status_json(sample_report()));
  EXPECT_TRUE(without["clock"].is_null());
  EXPECT_TRUE(without["steering"].is_null());
  EXPECT_TRUE(without["sources"].empty());
  EXPECT_TRUE(without["without_address"].empty());
}

TEST(StatusJson, DocumentNamesEveryReasonToRejectAnAnswer) {
  std::ifstream file(NTP_SOURCE_DIR "/docs/formats/status.md");
  const std::string document(std::istreambuf_iterator<char>(file), {});
  for (const client::Reject reject : client::all_rejects()) {
    EXPECT_NE(document.find("`" + std::string(name(reject)) + "`"), std::string::npos)
        << name(reject);
  }
}

TEST(StatusJson, MayStandInOneLine) {
  const auto report = report_with_a_source();
  const auto line = status_json(report, JsonForm::one_line);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(json::parse(line), json::parse(status_json(report)));
}

TEST(StatusJson, HasNullsForWhatIsNotKnown) {
  Report report = sample_report();
  report.serving = false;
  report.host = {};
  const auto status = json::parse(status_json(report));
  EXPECT_EQ(status["system"]["leap"], "unknown");
  EXPECT_EQ(status["system"]["stratum"], 16);
  EXPECT_TRUE(status["system"]["refid"].is_null());
  EXPECT_TRUE(status["system"]["reftime"].is_null());
  EXPECT_TRUE(status["system"]["error_bound_s"].is_null());
  EXPECT_EQ(status["host_clock"]["standing"], "unreadable");
  EXPECT_FALSE(status["host_clock"].contains("maxerror_s"));
}

TEST(StatusJson, NamesEveryLeapIndicator) {
  const std::pair<wire::Leap, const char*> names[] = {{wire::Leap::none, "none"},
                                                      {wire::Leap::insert, "insert"},
                                                      {wire::Leap::remove, "delete"},
                                                      {wire::Leap::unknown, "unknown"}};
  for (const auto& [leap, name] : names) {
    Report report = sample_report();
    report.state.leap = leap;
    EXPECT_EQ(json::parse(status_json(report))["system"]["leap"], name);
  }
}

TEST(StatusJson, TellsOfNts) {
  EXPECT_TRUE(json::parse(status_json(sample_report()))["nts"].is_null());
  for (const Report& without : {sample_report(), report_with_a_source()}) {
    EXPECT_TRUE(json::parse(status_json(without))["nts_client"].is_null());
  }
  const auto nts = json::parse(status_json(report_with_nts()))["nts"];
  EXPECT_EQ(nts["up"], true);
  EXPECT_EQ(nts["restarts"], 2);
  EXPECT_EQ(nts["open"], 33);
  EXPECT_EQ(nts["outcomes"]["ok"], 100);
  EXPECT_EQ(nts["outcomes"]["rate_limited"], 117);
  EXPECT_EQ(nts["certificate"]["valid_until"], "2026-11-23T01:19:25.123456789Z");
  EXPECT_EQ(nts["sandbox"]["landlock"], 4);
  EXPECT_EQ(nts["sandbox"]["system_calls"], true);
  const auto client = json::parse(status_json(report_with_nts()))["nts_client"];
  EXPECT_EQ(client, json::parse(R"({"up": true, "restarts": 1, "sandbox":
                    {"landlock": 3, "system_calls": false, "memory": true}})"));
  EXPECT_EQ(nts["certificate"]["expires_in_s"], 3600.0);
  EXPECT_EQ(nts["certificate"]["problem"], "server.key: it is empty");
  EXPECT_TRUE(nts["keys_problem"].is_null());
}

TEST(StatusJson, TellsWhatASourceIsProvedBy) {
  const auto source = json::parse(status_json(report_with_a_source()))["sources"][0];
  EXPECT_EQ(source["key"], 5);
  const auto& nts = source["nts"];
  EXPECT_EQ(nts["has_keys"], true);
  EXPECT_EQ(nts["aead"], "AES-SIV-CMAC-256");
  EXPECT_EQ(nts["cookies"], 7);
  EXPECT_EQ(nts["age_s"], 90.0);
  EXPECT_EQ(nts["failures"]["expired"], 2);
  EXPECT_EQ(nts["trouble"], "expired");
  EXPECT_EQ(nts["next_establishment_s"], 32.0);
}

TEST(StatusJson, DocumentNamesEveryWayForAnEstablishmentToFail) {
  std::ifstream file(NTP_SOURCE_DIR "/docs/formats/status.md");
  const std::string document{std::istreambuf_iterator<char>(file), {}};
  for (const auto name : nts::kKeTroubleNames) {
    EXPECT_NE(document.find("`" + std::string(name) + "`"), std::string::npos) << name;
  }
}

TEST(StatusJson, SurvivesTextThatIsNoUtf8) {
  Report report = sample_report();
  report.version = "\xff\"\n\x1b";
  const auto text = status_json(report);
  EXPECT_EQ(json::parse(text)["version"], "\xef\xbf\xbd\"\n\x1b");
}

void collect(const json& value, const std::string& path, std::set<std::string>& paths) {
  if (value.is_array() && !value.empty() && value[0].is_object()) {
    return collect(value[0], path + "[]", paths);
  }
  if (!value.is_object()) {
    paths.insert(path);
    return;
  }
  for (const auto& [key, inner] : value.items()) {
    collect(inner, path.empty() ? key : path + "." + key, paths);
  }
}

TEST(StatusJson, EveryFieldStandsInTheDocumentAndTheOtherWayRound) {
  std::set<std::string> rendered;
  collect(json::parse(status_json(report_with_nts())), "", rendered);

  std::ifstream document(NTP_SOURCE_DIR "/docs/formats/status.md");
  ASSERT_TRUE(document.is_open());
  std::set<std::string> documented;
  for (std::string line; std::getline(document, line);) {
    if (!line.starts_with("| `")) continue;
    documented.insert(line.substr(3, line.find('`', 3) - 3));
  }
  for (const auto reason : server::kDropLabels) {
    documented.insert("packets.dropped." + std::string(reason));  // documented as one row
  }
  documented.erase("packets.dropped.REASON");
  for (const auto outcome : kKeOutcomeNames) {
    documented.insert("nts.outcomes." + std::string(outcome));
  }
  ASSERT_EQ(documented.erase("nts.outcomes.OUTCOME"), 1u);
  for (const auto aead : kKeAeadNames) documented.insert("nts.aeads." + std::string(aead));
  ASSERT_EQ(documented.erase("nts.aeads.AEAD"), 1u);
  ASSERT_EQ(documented.erase("sources[].rejects.REASON"), 1u);
  ASSERT_EQ(documented.erase("sources[].nts.failures.REASON"), 1u);
  documented.insert("sources[].nts.failures.expired");
  documented.insert("sources[].rejects.loop");
  documented.insert("sources[].rejects.bogus");
  EXPECT_EQ(rendered, documented);
}

}  // namespace
}  // namespace ntp::control

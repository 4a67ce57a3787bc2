#include "cli/ctl_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "control/sample_report.h"
#include "control/status_json.h"

namespace ntp::cli {
namespace {

using nlohmann::json;

json with_a_source() {
  json status = json::parse(control::status_json(control::report_with_a_source()));
  json& source = status["sources"][0];
  source["verdict"] = "selected";
  source["reach"] = 255;
  source["age_s"] = 12.25;
  source["offset_s"] = -0.0000125;
  source["root_distance_s"] = 0.0125;
  return status;
}

json without_sources() { return json::parse(control::status_json(control::sample_report())); }

TEST(ShowSeconds, TakesTheUnitThatFits) {
  EXPECT_EQ(show_seconds(0, false), "0.000 ns");
  EXPECT_EQ(show_seconds(1.25e-9, true), "+1.250 ns");
  EXPECT_EQ(show_seconds(-12.5e-6, true), "-12.500 us");
  EXPECT_EQ(show_seconds(0.0999, false), "99.900 ms");
  EXPECT_EQ(show_seconds(0.9995, false), "1.000 s") << "rounding would make 1000 of it";
  EXPECT_EQ(show_seconds(-86400, true), "-86400.000 s");
}

TEST(CtlText, ShowsWhatIsServedAndWhy) {
  const std::string text = ctl_text(Topic::status, with_a_source());
  EXPECT_NE(text.find("V0.1, up 12 s"), std::string::npos) << text;
  EXPECT_NE(text.find("stratum 3, reference 127.127.0.1, leap insert"), std::string::npos) << text;
  EXPECT_NE(text.find("synchronised, 1 of 1 sources agree"), std::string::npos) << text;
  EXPECT_NE(text.find("1 used of 2, 1 without an address"), std::string::npos) << text;
  EXPECT_NE(text.find("1100 received, 1000 answered"), std::string::npos) << text;
}

TEST(CtlText, ShowsWhatKeysWereGivenFor) {
  json status = json::parse(control::status_json(control::report_with_nts()));
  status["nts"]["aeads"]["AES-SIV-CMAC-256"] = 0;
  const std::string text = ctl_text(Topic::status, status);
  EXPECT_NE(text.find("100 handshakes"), std::string::npos) << text;
  EXPECT_NE(text.find("keys given     AES-128-GCM-SIV 51, AES-128-GCM-SIV/chrony-4.4 52\n"),
            std::string::npos)
      << text;
}

TEST(CtlText, ShowsTheMeasurementsOfEverySource) {
  const std::string text = ctl_text(Topic::sources, with_a_source());
  EXPECT_NE(text.find("ntp.example.net (192.0.2.7)"), std::string::npos) << text;
  EXPECT_NE(text.find("377"), std::string::npos) << "octal: " << text;
  EXPECT_NE(text.find("-12.500 us  12.500 ms"), std::string::npos) << text;
  EXPECT_NE(text.find("12.250 s"), std::string::npos) << text;
  EXPECT_NE(text.find("loop     selected\n"), std::string::npos) << text;
  EXPECT_NE(text.find("nowhere.example.net  its name cannot be resolved"), std::string::npos)
      << text;
  EXPECT_NE(ctl_text(Topic::sourcestats, with_a_source()).find("+12.500 ppm"), std::string::npos);
  EXPECT_NE(ctl_text(Topic::sourcestats, with_a_source()).find("bogus 1, loop 2\n"),
            std::string::npos);
  EXPECT_NE(ctl_text(Topic::selection, with_a_source()).find("outside the majority interval"),
            std::string::npos);
  EXPECT_NE(ctl_text(Topic::selection, with_a_source()).find("  selected  "), std::string::npos);
  EXPECT_NE(ctl_text(Topic::activity, with_a_source()).find("1  waiting for the first answer"),
            std::string::npos);
}

TEST(CtlText, ShowsTheServedClock) {
  const std::string text = ctl_text(Topic::tracking, with_a_source());
  EXPECT_NE(text.find("Error bound      : 875.000 ms"), std::string::npos) << text;
  EXPECT_NE(text.find("-12.500 ppm"), std::string::npos) << text;
}

TEST(CtlText, SaysThatTheHostsClockIsServedWhereThereAreNoSources) {
  for (const Topic topic :
       {Topic::sources, Topic::sourcestats, Topic::selection, Topic::activity}) {
    EXPECT_EQ(ctl_text(topic, without_sources()), "no sources: the host's clock is served\n");
  }
  EXPECT_NE(ctl_text(Topic::tracking, without_sources()).find("the host's, synchronised"),
            std::string::npos);
}

// The server may be older or newer than the program that asks it.
TEST(CtlText, BearsDocumentsThatLackFieldsOrHaveOthers) {
  const json strange[] = {json::object(),
                          {{"clock", 5}, {"sources", {1, "x", nullptr, json::array()}}},
                          {{"clock", json::object()},
                           {"sources", {json::object(), {{"rejects", {{"loop", "x"}}}}}},
                           {"system", nullptr},
                           {"without_address", {json::object()}}},
                          {{"sources", "none"}, {"uptime_s", "long"}, {"clock", 1}}};
  for (const json& status : strange) {
    for (std::size_t i = 0; i < kTopicNames.size(); ++i) {
      EXPECT_FALSE(ctl_text(static_cast<Topic>(i), status).empty()) << status << kTopicNames[i];
      EXPECT_TRUE(ctl_json(static_cast<Topic>(i), status).is_object());
    }
  }
}

TEST(CtlJson, IsThePartOfTheDocumentThatTheTopicShows) {
  const json status = with_a_source();
  EXPECT_EQ(ctl_json(Topic::status, status), status);
  const json tracking = ctl_json(Topic::tracking, status);
  EXPECT_EQ(tracking["schema"], status["schema"]);
  EXPECT_EQ(tracking["system"], status["system"]);
  EXPECT_FALSE(tracking.contains("packets"));
  EXPECT_EQ(ctl_json(Topic::sources, status)["sources"], status["sources"]);
  EXPECT_EQ(ctl_json(Topic::waitsync, status)["ready"], status["ready"]);
}

}  // namespace
}  // namespace ntp::cli

#include "cli/served_time.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "control/sample_report.h"
#include "control/status_json.h"

namespace ntp::cli {
namespace {

using nlohmann::json;

const client::Measurement kMeasured{.reply = {}, .offset_s = 0.25, .delay_s = 0.5};

TEST(ServedTime, IsTheHostsClockWithoutSources) {
  const json status = json::parse(control::status_json(control::sample_report()));
  const auto served = compare(kMeasured, status);
  ASSERT_TRUE(served);
  EXPECT_EQ(served->offset_s, 0.25);
  EXPECT_EQ(served->offset_error_s, 0.25);
  EXPECT_EQ(served->error_bound_s, 0.875);
  EXPECT_EQ(served_text(*served),
            "  against the time served here: +250.000 ms +- 250.000 ms; that time is right within "
            "875.000 ms\n");
}

TEST(ServedTime, IsAsFarFromTheHostsAsTheServerSays) {
  json status = json::parse(control::status_json(control::report_with_a_source()));
  status["clock"]["host_offset_s"] = -1.0;  // the host is behind what is served, and so is HOST
  status["system"]["error_bound_s"] = nullptr;
  const auto served = compare(kMeasured, status);
  ASSERT_TRUE(served);
  EXPECT_EQ(served->offset_s, -0.75);
  EXPECT_FALSE(served->error_bound_s);
  EXPECT_NE(served_text(*served).find("-750.000 ms"), std::string::npos);
  EXPECT_NE(served_text(*served).find("that time is not synchronised"), std::string::npos);
  EXPECT_EQ(served_json(*served),
            json({{"offset_s", -0.75}, {"offset_error_s", 0.25}, {"error_bound_s", nullptr}}));
}

TEST(ServedTime, IsNotComparedWhereNoneIsServedOrNobodyTells) {
  json status = json::parse(control::status_json(control::report_with_a_source()));
  status["system"]["serving"] = false;
  EXPECT_FALSE(compare(kMeasured, status));
  for (const json& strange :
       {json::object(), json({{"system", 5}}), json({{"system", {{"serving", "yes"}}}}),
        json({{"system", {{"serving", true}}}, {"clock", 5}}),
        json({{"system", {{"serving", true}}}, {"clock", {{"host_offset_s", "far"}}}})}) {
    EXPECT_FALSE(compare(kMeasured, strange)) << strange;
  }
}

}  // namespace
}  // namespace ntp::cli

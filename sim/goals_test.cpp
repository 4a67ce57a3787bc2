#include "sim/goals.h"

#include <gtest/gtest.h>

#include <cmath>

#include "sim/scenario_file.h"

namespace ntp::sim {
namespace {

constexpr const char* kTwo = R"(
[[scenario]]
name = "noise"
what = "one server, more or less far away"
servers = 1
length_s = 600
from_s = 100
link = { minimum_s = 1e-3, jitter_s = 1e-4 }
vary = [{}, { link.minimum_s = 2e-3 }]
goals = [
  { row = "both: RMS", at_most = 1e-3, worst_at_most = 1e-9 },
  { row = "kept: bound", figure = "coverage", at_least = 0.9999 },
]

[[scenario]]
name = "twin"
what = "the same again"
based_on = "noise-1"
goals = [
  { row = "both: over the first", of = "noise-1", at_most = 1 },
  { row = "peer: over chrony's", of = "chrony", at_most = 0.5 },
  { row = "peer: questions over chrony's", figure = "questions", of = "chrony", at_most = 1 },
]
)";

std::vector<WorldModel> parse(const std::string& text) {
  auto worlds = parse_scenarios(text, "test.toml");
  EXPECT_TRUE(worlds) << worlds.error().front();
  return *worlds;
}

TEST(Goals, ARowIsOfAllSeedsOfAllScenariosThatNameIt) {
  const auto worlds = parse(kTwo);
  ASSERT_EQ(worlds.size(), 3u);
  EXPECT_EQ(worlds[1].name, "noise-2");
  EXPECT_EQ(worlds[1].link.down.minimum_s, 2e-3);
  const Outcomes outcomes = run_goals(worlds, 3);
  const auto rows = evaluate(worlds, outcomes, {{{"twin", "rms_s"}, {1.0, 2.0, 3.0}}});
  ASSERT_EQ(rows.size(), 5u);

  EXPECT_EQ(rows[0].goal.row, "both: RMS");
  EXPECT_EQ(rows[0].measured.size(), 6u);
  EXPECT_EQ(rows[0].verdict, GoalVerdict::missed) << "some seed is worse than a nanosecond";
  EXPECT_EQ(rows[1].goal.row, "both: over the first") << "beside its like";
  EXPECT_EQ(rows[1].measured, std::vector<double>(3, 1.0)) << "the same seeds";
  EXPECT_EQ(rows[1].verdict, GoalVerdict::met);

  EXPECT_EQ(rows[2].goal.row, "peer: over chrony's");
  EXPECT_EQ(rows[2].measured[0], rows[2].ours[0] / 2) << "over the median of its seeds";
  EXPECT_EQ(rows[2].verdict, GoalVerdict::met);
  EXPECT_TRUE(rows[3].measured.empty()) << "nobody knows how much chrony asks";
  EXPECT_EQ(rows[3].verdict, GoalVerdict::open);

  EXPECT_EQ(rows[4].goal.row, "kept: bound") << "the last";
  EXPECT_EQ(rows[4].worst(), 1);
}

TEST(Goals, WhatNobodyCanMeasureIsRefused) {
  const auto fault = [](const std::string& goal) {
    const auto worlds = parse_scenarios(
        "[[scenario]]\nname = \"x\"\nwhat = \"y\"\ngoals = [" + goal + "]\n", "test.toml");
    return worlds ? "" : worlds.error().front();
  };
  EXPECT_EQ(fault("{ row = \"a\" }"), "");
  EXPECT_EQ(fault("{ row = \"a\", figure = \"luck\" }"), "test.toml:4: no figure \"luck\"");
  EXPECT_EQ(fault("{ row = \"a\", of = \"z\" }"), "test.toml: x: no scenario \"z\"");
  EXPECT_EQ(fault("{ row = \"a\", machine = \"z\" }"), "test.toml:1: x: there is no \"z\"");
}

TEST(Goals, AHostsClockIsLedAndSteppedBack) {
  const auto worlds = parse(R"(
[[scenario]]
name = "led"
what = "a host 10 s behind is led, and set wrong by somebody"
servers = 1
length_s = 2000
from_s = 100
event_s = 1000
target_s = 1e-4
clock = { ppm = 50, wander = 1e-9 }
host = { offset_s = -10, steps = [{ at_s = 1000, offset_s = 0.03 }] }
link = { minimum_s = 1e-4, jitter_s = 1e-5 }
steer = true

[[scenario]]
name = "left"
what = "nobody leads it"
based_on = "led"
steer = false
)");
  const Figures led = run(worlds[0], 1).figures();
  EXPECT_LT(led.host_max_s, 0.031) << "the ten seconds are stepped away";
  EXPECT_LT(led.host_converged_s.value_or(INFINITY), 60);
  EXPECT_EQ(led.host_coverage, 1) << "maxerror admits the error that is still there";
  const Figures left = run(worlds[1], 1).figures();
  EXPECT_EQ(left.host_converged_s, std::nullopt);
  EXPECT_EQ(left.rms_s, led.rms_s) << "what is served does not feel it";
}

}  // namespace
}  // namespace ntp::sim

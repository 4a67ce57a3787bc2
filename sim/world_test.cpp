#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "sim/figures.h"
#include "sim/plot.h"
#include "sim/scenario_file.h"

namespace ntp::sim {
namespace {

constexpr const char* kBusy = R"(
[[scenario]]
name = "busy"
what = "a bit of everything"
servers = 4
length_s = 3000
from_s = 500
clock = { ppm = 10, wander = 1e-8, sines = [{ ppm = 1 }], sleeps = [{ from_s = 2000, length_s = 60 }] }
link = { minimum_s = 2e-3, jitter_s = 1e-3, loss = 0.1, duplicates = 0.1, late = 0.05 }
lies = [{ by = ["s4"], offset_s = 1 }, { by = ["s1"], forged = 3, garbage = 0.1 }]
machines = [{ name = "a" }, { name = "b", ask.of = ["a", "s1", "s4"] }]
)";

WorldModel parse(const std::string& text) {
  auto worlds = parse_scenarios(text, "test.toml");
  EXPECT_TRUE(worlds) << worlds.error().front();
  return worlds->back();
}

std::string fault(const std::string& text) {
  const auto worlds = parse_scenarios(text, "test.toml");
  return worlds ? "" : worlds.error().front();
}

TEST(World, OneSeedIsOneRun) {
  const WorldModel world = parse(kBusy);
  const Outcome once = run(world, 7, true);
  const Outcome again = run(world, 7, true);
  EXPECT_EQ(once.machines, again.machines);
  EXPECT_EQ(once.looks, again.looks);
  EXPECT_GT(once.figures().samples, 0u);
  EXPECT_NE(once.looks, run(world, 8, true).looks);
}

TEST(World, TheOrderOfTheSourcesChangesNoVerdict) {
  WorldModel world = parse(kBusy);
  world.machines.resize(1);
  auto& of = world.machines[0].ask.of;
  std::ranges::sort(of);
  const auto first = run(world, 1).figures();
  do {
    const auto figures = run(world, 1).figures();
    EXPECT_EQ(figures.verdicts.at("s4"), "falseticker");
    EXPECT_EQ(figures.state, first.state);
    EXPECT_EQ(figures.coverage, 1);
  } while (std::ranges::next_permutation(of).found);
}

TEST(World, ALinkDoesWhatItsModelSays) {
  Path path({.minimum_s = 1e-3, .duplicates = 0.5, .cuts = {{.from_s = 10, .length_s = 5}}}, 1, 1);
  int copies = 0;
  for (int i = 0; i < 1000; ++i) copies += static_cast<int>(path.deliveries(0).size());
  EXPECT_NEAR(copies, 1500, 60);
  EXPECT_TRUE(path.deliveries(12).empty());
  EXPECT_FALSE(path.deliveries(15).empty());
  Path recorded({.recorded = {0.1, 0.2}}, 1, 1);
  EXPECT_EQ(recorded.delay(0) + recorded.delay(0) + recorded.delay(0), 0.1 + 0.2 + 0.1);
}

TEST(World, ASleepingClockStandsAndIsSeenToHave) {
  Machine machine({.clock = {.sleeps = {{.from_s = 10, .length_s = 5}}}}, RealTime{}, 1, 1);
  const clock::Moment before = machine.moment(0);
  machine.advance(20);
  const clock::Moment after = machine.moment(20);
  EXPECT_EQ(after.raw - before.raw, std::chrono::seconds(15));
  EXPECT_EQ(after.boot_lead, std::chrono::seconds(5));
}

TEST(Scenario, IsBasedOnAnotherAndSaysWhatDiffers) {
  const WorldModel world = parse(std::string(kBusy) + R"(
[[scenario]]
name = "calm"
what = "the same without liars"
based_on = "busy"
link.loss = 0
lies = []
limits = { rms_s = 1e-3, verdicts = { s1 = "selected" } }
)");
  EXPECT_EQ(world.servers.size(), 4u);
  EXPECT_EQ(world.machines.size(), 2u);
  EXPECT_TRUE(world.lies.empty());
  EXPECT_EQ(world.link.up.loss, 0);
  EXPECT_EQ(world.link.down.minimum_s, 2e-3);
  EXPECT_EQ(world.limits.rms_s, 1e-3);
}

TEST(Scenario, WhatIsWrongIsNamedWithItsLine) {
  EXPECT_EQ(fault("[[scenario]]\nname = \"x\"\nwhat = \"y\"\nlink.jiter_s = 1\n"),
            "test.toml:4: unknown key \"jiter_s\"");
  EXPECT_EQ(fault("[[scenario]]\nname = \"x\"\nwhat = \"y\"\nlength_s = \"long\"\n"),
            "test.toml:4: not a number");
  EXPECT_EQ(fault("[[scenario]]\nname = \"x\"\nwhat = \"y\"\nask.of = [\"z\"]\n"),
            "test.toml:1: x: there is no \"z\"");
  EXPECT_EQ(fault("[[scenario]]\nname = \"x\"\nwhat = \"y\"\nbased_on = \"x\"\n"),
            "test.toml:1: x: based_on names no other scenario");
  EXPECT_EQ(fault("[[scenario]]\nwhat = \"y\"\n"),
            "test.toml:1: a scenario needs a name of its own");
  EXPECT_NE(fault("[[scenario]\n").find("test.toml:1: "), std::string::npos);
}

TEST(Scenario, ABrokenLimitIsSaidInWords) {
  WorldModel world = parse(kBusy);
  world.limits = {.rms_s = 1e-9, .synchronised_at_most = 0.5, .state = "cold", .reason = "moon"};
  const Outcome outcome = run(world, 1);
  const auto broken = judge(world, outcome, nullptr);
  ASSERT_EQ(broken.size(), 4u);
  EXPECT_NE(broken[0].find("RMS"), std::string::npos);
  EXPECT_EQ(broken[2], "state synchronised, not cold");
  world.limits = {};
  EXPECT_TRUE(judge(world, outcome, nullptr).empty());
  world.limits.than = "itself";
  EXPECT_TRUE(judge(world, outcome, &outcome).empty());
}

TEST(Scenario, ThereAreAHundredOfThemAndEachSaysWhatItIsAbout) {
  const auto worlds = load_scenarios(NTP_SOURCE_DIR "/sim/scenarios");
  ASSERT_TRUE(worlds) << worlds.error().front();
  EXPECT_GE(worlds->size(), 100u);
  for (const auto& world : *worlds) {
    EXPECT_TRUE(world.limits.bound == 1 || !world.what.empty()) << world.name;
    EXPECT_LE(world.name.size(), 27u) << world.name;
  }
}

TEST(Plot, IsAPictureOfTheRun) {
  const std::string picture = svg("busy", run(parse(kBusy), 1, true).looks);
  EXPECT_TRUE(picture.starts_with("<svg "));
  EXPECT_TRUE(picture.ends_with("</svg>\n"));
  EXPECT_EQ(std::ranges::count(picture, '<'), std::ranges::count(picture, '>'));
  EXPECT_EQ(picture.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace ntp::sim

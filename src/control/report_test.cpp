#include "control/report.h"

#include <gtest/gtest.h>

#include "control/refid_text.h"
#include "control/sample_report.h"
#include "control/time_text.h"

namespace ntp::control {
namespace {

using namespace std::chrono_literals;

TEST(Totals, AddUpWhatTheWorkersCounted) {
  std::array<server::Counters, 2> workers;
  for (auto& counters : workers) {
    counters.received.add(10);
    counters.batches.add(2);
    counters.versions[4].add(6);
    counters.versions[1].add(1);
    counters.drops[0].add(2);
    counters.drops[server::kDropCount - 1].add(1);
    counters.mac_accepted.add(1);
    counters.nts_accepted.add(2);
    counters.nts_naks.add(3);
    counters.replies.add(6);
    counters.send_errors.add(1);
    counters.receive_errors.add(3);
    counters.stamps_missing.add(4);
    counters.stamps_discarded.add(5);
    counters.latency[3].add(6);
    counters.latency_sum_ns.add(7000);
  }
  Totals totals;
  for (const auto& counters : workers) totals.add(counters);
  EXPECT_EQ(totals.received, 20u);
  EXPECT_EQ(totals.batches, 4u);
  EXPECT_EQ(totals.versions, (std::array<std::uint64_t, 5>{0, 2, 0, 0, 12}));
  EXPECT_EQ(totals.accepted(), 14u);
  EXPECT_EQ(totals.ignored(), 6u);
  EXPECT_EQ(totals.mac_accepted, 2u);
  EXPECT_EQ(totals.nts_accepted, 4u);
  EXPECT_EQ(totals.nts_naks, 6u);
  EXPECT_EQ(totals.replies, 12u);
  EXPECT_EQ(totals.send_errors, 2u);
  EXPECT_EQ(totals.receive_errors, 6u);
  EXPECT_EQ(totals.stamps_missing, 8u);
  EXPECT_EQ(totals.stamps_discarded, 10u);
  EXPECT_EQ(totals.latency[3], 12u);
  EXPECT_EQ(totals.latency_sum_ns, 14'000u);
}

TEST(Readiness, IsBeingSynchronisedWithinTheLimit) {
  Report report = sample_report();  // 0.25 / 2 + 0.5 + 2 s * 0.125
  EXPECT_TRUE(readiness(report, 0.875).good);
  EXPECT_EQ(readiness(report, 0.875).why, "synchronised within 0.875000 s");
  EXPECT_FALSE(readiness(report, 0.874).good);
  EXPECT_EQ(readiness(report, 0.1).why,
            "synchronised, but the error bound 0.875000 s is over the limit 0.100000 s");
  report.raw_now += 1s;
  EXPECT_FALSE(readiness(report, 0.875).good) << "the bound grows with the age of the state";
}

TEST(Readiness, NeverCallsTheLocalClockSynchronised) {
  Report report = sample_report();
  report.state.synchronised = false;
  report.state.stratum = 10;
  EXPECT_FALSE(readiness(report, 1e9).good);
  EXPECT_EQ(readiness(report, 1e9).why,
            "not synchronised: the local clock is served at stratum 10");
  EXPECT_FALSE(is_synchronised(report));
  EXPECT_TRUE(is_local_clock(report));
  EXPECT_FALSE(error_bound_now_s(report).has_value());
}

TEST(Report, TellsHowFarTheHostIsFromTheServedClock) {
  Report report = sample_report();
  EXPECT_EQ(host_offset_s(report), 0) << "the host's clock is served";
  report.state.own_clock = true;
  report.state.map.map = {.at = report.raw_now - 1s, .real = report.now, .rate = -0.5};
  EXPECT_DOUBLE_EQ(host_offset_s(report), -0.5);
}

TEST(Readiness, FailsAmongOrphans) {
  Report report = report_with_a_source();
  auto view = std::make_shared<SourceView>(*report.sources);
  view->state = clock::ClockState::orphan;
  report.sources = view;
  report.state.synchronised = false;
  report.state.stratum = 11;
  EXPECT_FALSE(readiness(report, 1e9).good);
  EXPECT_EQ(readiness(report, 1e9).why,
            "not synchronised: the time of an orphan is served at stratum 11");
}

TEST(Readiness, FailsWhileRepliesSayLeap3) {
  Report report = sample_report();
  report.serving = false;  // as when nobody has renewed the state for too long
  EXPECT_FALSE(readiness(report, 1e9).good);
  EXPECT_EQ(readiness(report, 1e9).why, "not synchronised: replies say leap 3");
  EXPECT_FALSE(is_synchronised(report));
  EXPECT_FALSE(is_local_clock(report));
  EXPECT_EQ(root_dispersion_now_s(report), server::kMaxDispersion_s);
}

TEST(RefidText, IsWrittenAsItsStratumWants) {
  EXPECT_EQ(refid_text(server::kRefidHost, 3), "127.127.0.1");
  EXPECT_EQ(refid_text(0xc0000201, 2), "192.0.2.1");
  EXPECT_EQ(refid_text(server::kRefidLocal, 10), "LOCL");
  EXPECT_EQ(refid_text(wire::refid_of("GPS\0"), 1), "GPS");
  EXPECT_EQ(refid_text(wire::refid_of("RATE"), 0), "RATE");
  EXPECT_EQ(refid_text(0x1b5b324a, 1), "0x1b5b324a") << "no escape sequences";
  EXPECT_EQ(refid_text(0x22414141, 1), "0x22414141");
  EXPECT_EQ(refid_text(0, 0), "");
}

TEST(TimeText, IsRfc3339) {
  const RealTime time(1'795'393'165'123'456'789ns);
  EXPECT_EQ(rfc3339_utc(time), "2026-11-23T00:19:25.123456789Z");
  EXPECT_EQ(rfc3339_local(time, 0s), "2026-11-23T00:19:25.123+00:00");
  EXPECT_EQ(rfc3339_local(time, 1h), "2026-11-23T01:19:25.123+01:00");
  EXPECT_EQ(rfc3339_local(time, -(30min + 3h)), "2026-11-22T20:49:25.123-03:30");
  EXPECT_EQ(rfc3339_local(time, 14h), "2026-11-23T14:19:25.123+14:00");
  EXPECT_EQ(rfc3339_local(time, -30min), "2026-11-22T23:49:25.123-00:30");
  EXPECT_EQ(rfc3339_local(time, 19min + 32s), "2026-11-23T00:38:25.123+00:19");
  EXPECT_EQ(rfc3339_utc(RealTime(-1ns)), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(rfc3339_utc(RealTime(1'709'164'800s)), "2024-02-29T00:00:00.000000000Z");
}

}  // namespace
}  // namespace ntp::control

#include "control/metrics.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "control/sample_report.h"

namespace ntp::control {
namespace {

// Sample lines by what stands before the value.
std::map<std::string, std::string> samples(const std::string& text) {
  std::map<std::string, std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    const auto blank = line.rfind(' ');
    EXPECT_TRUE(found.emplace(line.substr(0, blank), line.substr(blank + 1)).second)
        << "twice: " << line;
  }
  return found;
}

TEST(Metrics, TellEveryFieldOfTheReport) {
  const auto all = samples(metrics(sample_report()));
  const std::map<std::string, std::string> expected = {
      {"ntp_uptime_seconds", "12.5"},
      {"ntp_system_stratum", "3"},
      {"ntp_system_leap_indicator", "1"},
      {"ntp_system_root_delay_seconds", "0.25"},
      {"ntp_system_root_dispersion_seconds", "0.75"},
      {"ntp_system_error_bound_seconds", "0.875"},
      {"ntp_system_synchronised", "1"},
      {"ntp_system_serving", "1"},
      {"ntp_system_local_clock", "0"},
      {"ntp_host_clock_synchronised", "1"},
      {"ntp_host_clock_standing{standing=\"synchronised\"}", "1"},
      {"ntp_host_clock_standing{standing=\"unsynchronised\"}", "0"},
      {"ntp_host_clock_steps_total", "2"},
      {"ntp_host_clock_maxerror_seconds", "0.0125"},
      {"ntp_host_clock_esterror_seconds", "0.00025"},
      {"ntp_host_clock_offset_seconds", "-6.25e-05"},
      {"ntp_host_clock_error_bound_seconds", "0.0135"},
      {"ntp_host_clock_tai_offset_seconds", "37"},
      {"ntp_server_received_packets_total", "1100"},
      {"ntp_server_accepted_packets_total", "1003"},
      {"ntp_server_ignored_packets_total",
       std::to_string(server::kDropCount * (server::kDropCount + 1) / 2)},
      {"ntp_server_requests_total{version=\"1\"}", "1"},
      {"ntp_server_requests_total{version=\"4\"}", "700"},
      {"ntp_server_lost_packets_total", "33"},
      {"ntp_server_leaked_requests_total", "32"},
      {"ntp_server_kiss_packets_total", "31"},
      {"ntp_server_rate_threatened", "1"},
      {"ntp_server_rate_crowd", "1"},
      {"ntp_server_sent_packets_total", "1000"},
      {"ntp_server_mac_accepted_packets_total", "40"},
      {"ntp_server_nts_accepted_packets_total", "50"},
      {"ntp_server_nts_nak_packets_total", "60"},
      {"ntp_server_response_send_errors_total", "3"},
      {"ntp_server_receive_errors_total", "4"},
      {"ntp_server_receive_batches_total", "400"},
      {"ntp_server_stamps_missing_total", "5"},
      {"ntp_server_stamps_discarded_total", "6"},
      {"ntp_server_build_info{version=\"V0.1\"}", "1"},
      {"ntp_server_workers", "4"},
      {"ntp_server_workers_stalled", "1"},
      {"ntp_server_reloads_total{result=\"ok\"}", "7"},
      {"ntp_server_reloads_total{result=\"error\"}", "8"},
      {"ntp_server_sandbox{part=\"files\"}", "1"},
      {"ntp_server_sandbox{part=\"system_calls\"}", "1"},
      {"ntp_server_sandbox{part=\"memory\"}", "0"},
      {"ntp_server_sandbox_refused_calls_total", "9"},
  };
  for (const auto& [name, value] : expected) {
    const auto found = all.find(name);
    ASSERT_NE(found, all.end()) << name;
    EXPECT_EQ(found->second, value) << name;
  }
}

TEST(Metrics, CountEveryReasonToDrop) {
  const auto all = samples(metrics(sample_report()));
  for (std::size_t i = 0; i < server::kDropCount; ++i) {
    const auto name =
        "ntp_server_dropped_packets_total{reason=\"" + std::string(server::kDropLabels[i]) + "\"}";
    ASSERT_TRUE(all.contains(name)) << name;
    EXPECT_EQ(all.at(name), std::to_string(i + 1));
  }
}

TEST(Metrics, TheHistogramIsCumulativeAndAddsUp) {
  const auto all = samples(metrics(sample_report()));
  const std::string name = "ntp_server_response_latency_seconds";
  EXPECT_EQ(all.at(name + "_bucket{le=\"2e-06\"}"), "0");
  EXPECT_EQ(all.at(name + "_bucket{le=\"5e-06\"}"), "1");
  EXPECT_EQ(all.at(name + "_bucket{le=\"1e-05\"}"), "3");
  EXPECT_EQ(all.at(name + "_bucket{le=\"0.001\"}"), "36");
  EXPECT_EQ(all.at(name + "_bucket{le=\"10\"}"), "105");
  EXPECT_EQ(all.at(name + "_bucket{le=\"+Inf\"}"), "120");
  EXPECT_EQ(all.at(name + "_count"), "120");
  EXPECT_EQ(all.at(name + "_sum"), "1.5");
}

TEST(Metrics, HaveNoErrorBoundWhileNotSynchronised) {
  Report report = sample_report();
  report.state.synchronised = false;
  auto all = samples(metrics(report));
  EXPECT_EQ(all.at("ntp_system_error_bound_seconds"), "+Inf");
  EXPECT_EQ(all.at("ntp_system_synchronised"), "0");
  EXPECT_EQ(all.at("ntp_system_local_clock"), "1");
  EXPECT_EQ(all.at("ntp_system_serving"), "1");

  report.serving = false;
  all = samples(metrics(report));
  EXPECT_EQ(all.at("ntp_system_error_bound_seconds"), "+Inf");
  EXPECT_EQ(all.at("ntp_system_local_clock"), "0");
  EXPECT_EQ(all.at("ntp_system_serving"), "0");
  EXPECT_EQ(all.at("ntp_system_stratum"), "16");
  EXPECT_EQ(all.at("ntp_system_leap_indicator"), "3");
  EXPECT_EQ(all.at("ntp_system_root_dispersion_seconds"), "16");
}

TEST(Metrics, SayNothingOfAKernelThatWasNotRead) {
  Report report = sample_report();
  report.host = {};
  const auto all = samples(metrics(report));
  EXPECT_FALSE(all.contains("ntp_host_clock_maxerror_seconds"));
  EXPECT_EQ(all.at("ntp_host_clock_synchronised"), "0");
  EXPECT_EQ(all.at("ntp_host_clock_standing{standing=\"unreadable\"}"), "1");
}

TEST(Metrics, EscapeLabelValues) {
  Report report = sample_report();
  report.version = "a\"b\\c\nd";
  EXPECT_NE(metrics(report).find("ntp_server_build_info{version=\"a\\\"b\\\\c\\nd\"} 1\n"),
            std::string::npos);
}

TEST(Metrics, EveryFamilyHasItsCommentsOnceAndBeforeItsSamples) {
  std::istringstream lines(metrics(sample_report()));
  std::set<std::string> families;
  std::string current;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, keyword, name, type;
    if (line.starts_with("# HELP ")) {
      words >> hash >> keyword >> current;
      EXPECT_TRUE(families.insert(current).second) << line;
    } else if (line.starts_with("# TYPE ")) {
      words >> hash >> keyword >> name >> type;
      EXPECT_EQ(name, current);
      EXPECT_EQ(type == "counter", current.ends_with("_total")) << line;
    } else {
      EXPECT_TRUE(line.starts_with(current)) << line;
    }
  }
  EXPECT_GE(families.size(), 30u);
}

TEST(Metrics, ANumberThatIsNoneIsWrittenAsPrometheusReadsIt) {
  Report report = sample_report();
  report.uptime_s = std::numeric_limits<double>::quiet_NaN();
  report.host.error_bound_s = -std::numeric_limits<double>::infinity();
  const auto all = samples(metrics(report));
  EXPECT_EQ(all.at("ntp_uptime_seconds"), "NaN");
  EXPECT_EQ(all.at("ntp_host_clock_error_bound_seconds"), "-Inf");
}

TEST(Metrics, TellOfTheSourcesAndTheClockMadeOfThem) {
  EXPECT_FALSE(samples(metrics(sample_report())).contains("ntp_clock_frequency_ppm"));
  auto all = samples(metrics(report_with_a_source()));
  const std::string source = "{name=\"ntp.example.net\",address=\"192.0.2.7:123\"}";
  EXPECT_EQ(all.at("ntp_clock_state{state=\"synchronised\"}"), "1");
  EXPECT_EQ(all.at("ntp_clock_state{state=\"cold\"}"), "0");
  EXPECT_EQ(all.at("ntp_clock_frequency_ppm"), "-12.5");
  EXPECT_EQ(all.at("ntp_steering_state{state=\"refused\"}"), "1");
  EXPECT_EQ(all.at("ntp_steering_state{state=\"steering\"}"), "0");
  EXPECT_EQ(all.at("ntp_steering_error_seconds"), "2000.5");
  EXPECT_EQ(all.at("ntp_steering_frequency_ppm"), "-11.25");
  EXPECT_EQ(all.at("ntp_steering_steps_total"), "21");
  EXPECT_EQ(all.at("ntp_steering_refusals_total"), "22");
  EXPECT_EQ(all.at("ntp_steering_disturbances_total"), "23");
  EXPECT_EQ(all.at("ntp_steering_failures_total"), "24");
  EXPECT_EQ(all.at("ntp_source_used" + source), "0");
  EXPECT_EQ(all.at("ntp_source_falseticker" + source), "1");
  EXPECT_EQ(all.at("ntp_source_reach" + source), "0");
  EXPECT_EQ(all.at("ntp_source_offset_seconds" + source), "1.5");
  const std::string labels = source.substr(0, source.size() - 1);
  EXPECT_EQ(all.at("ntp_source_verdict" + labels + ",verdict=\"falseticker\"}"), "1");
  EXPECT_EQ(all.at("ntp_source_rejected_total" + labels + ",reason=\"loop\"}"), "2");
  EXPECT_EQ(all.at("ntp_source_nts_cookies_available" + labels + "}"), "7");
  EXPECT_EQ(all.at("ntp_source_nts_establishments_total" + labels + "}"), "3");
  EXPECT_EQ(all.at("ntp_source_nts_failures_total" + labels + ",reason=\"expired\"}"), "2");
  EXPECT_EQ(all.at("ntp_source_nts_naks_total" + labels + "}"), "4");
  EXPECT_FALSE(all.contains("ntp_source_rejected_total" + labels + ",reason=\"malformed\"}"));

  Report report = report_with_a_source();
  auto view = *report.sources;
  view.tracked[0].estimate.reset();
  view.tracked.push_back({.source = 99});  // gone since
  view.steering.reset();
  report.sources = std::make_shared<SourceView>(view);
  all = samples(metrics(report));
  EXPECT_EQ(all.at("ntp_source_offset_seconds" + source), "NaN");
  EXPECT_EQ(all.at("ntp_source_delay_seconds" + source), "NaN");
  EXPECT_FALSE(all.contains("ntp_steering_error_seconds"));
}

TEST(Metrics, TellOfNtsWhileItIsOn) {
  for (const auto& [name, value] : samples(metrics(report_with_a_source()))) {
    EXPECT_FALSE(name.starts_with("ntp_nts_")) << name;
  }
  auto all = samples(metrics(report_with_nts()));
  EXPECT_EQ(all["ntp_nts_ke_up"], "1");
  EXPECT_EQ(all["ntp_nts_ke_restarts_total"], "2");
  EXPECT_EQ(all["ntp_nts_ke_connections_total"], "5000");
  EXPECT_EQ(all["ntp_nts_ke_connections_open"], "33");
  EXPECT_EQ(all["ntp_nts_ke_accept_errors_total"], "9");
  EXPECT_EQ(all[R"(ntp_nts_ke_handshakes_total{outcome="ok"})"], "100");
  EXPECT_EQ(all[R"(ntp_nts_ke_handshakes_total{outcome="evicted"})"], "116");
  EXPECT_EQ(all[R"(ntp_nts_ke_keys_total{aead="AES-SIV-CMAC-256"})"], "50");
  EXPECT_EQ(all[R"(ntp_nts_ke_keys_total{aead="AES-128-GCM-SIV/chrony-4.4"})"], "52");
  EXPECT_EQ(all[R"(ntp_nts_ke_sandbox{part="files"})"], "1");
  EXPECT_EQ(all[R"(ntp_nts_ke_sandbox{part="memory"})"], "0");
  EXPECT_EQ(all["ntp_nts_client_up"], "1");
  EXPECT_EQ(all["ntp_nts_client_restarts_total"], "1");
  EXPECT_EQ(all[R"(ntp_nts_client_sandbox{part="files"})"], "1");
  EXPECT_EQ(all[R"(ntp_nts_client_sandbox{part="system_calls"})"], "0");
  EXPECT_EQ(all["ntp_nts_certificate_loaded"], "1");
  EXPECT_EQ(all["ntp_nts_certificate_problem"], "1");
  EXPECT_EQ(all["ntp_nts_certificate_expires_in_seconds"], "3600");
  Report without = report_with_nts();
  without.ke->certificate = {};
  all = samples(metrics(without));
  EXPECT_EQ(all["ntp_nts_certificate_loaded"], "0");
  EXPECT_FALSE(all.contains("ntp_nts_certificate_expires_in_seconds"));
}

}  // namespace
}  // namespace ntp::control

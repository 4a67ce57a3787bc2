// Any state of the server as JSON and as Prometheus' text: both can be read, and say the same.
#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "control/metrics.h"
#include "control/sample_report.h"
#include "control/status_json.h"
#include "input.h"

namespace {

using namespace ntp;
using Samples = std::map<std::string, double, std::less<>>;

control::Report report_of(fuzz::Input& input) {
  control::Report report;
  report.now = RealTime(std::chrono::nanoseconds(input.take_below(7'000'000'000'000'000'000)));
  report.raw_now = RawTime(std::chrono::nanoseconds(input.take_below(1ull << 60)));
  report.uptime_s = input.take<std::uint32_t>() * 1e-3;
  auto& state = report.state;
  state.leap = static_cast<wire::Leap>(input.take<std::uint8_t>() % 4);
  state.synchronised = input.take_bool();
  state.stratum = static_cast<std::uint8_t>(input.take_below(17));
  state.precision = input.take<std::int8_t>();
  state.refid = input.take<std::uint32_t>();
  state.reftime = {input.take<std::uint64_t>()};
  state.root_delay_s = input.take<std::uint32_t>() * 1e-9;
  state.root_dispersion_s = input.take<std::uint32_t>() * 1e-9;
  state.dispersion_rate = input.take<std::uint16_t>() * 1e-6;
  state.at = RawTime(std::chrono::nanoseconds(input.take_below(1ull << 60)));
  report.serving = input.take_bool();
  report.host.standing =
      static_cast<clock::HostStanding>(input.take_below(control::kStandings.size()));
  report.host.error_bound_s = input.take<std::uint32_t>() * 1e-6;
  report.host.reading = {.available = input.take_bool(),
                         .maxerror_us = input.take<std::int64_t>(),
                         .esterror_us = input.take<std::int64_t>(),
                         .offset_s = input.take<std::int32_t>() * 1e-9,
                         .tai_offset_s = input.take<std::int32_t>()};
  report.host_steps = input.take<std::uint64_t>();
  report.ready_max_error_s = input.take<std::uint32_t>() * 1e-6;
  // Sums stay below 2^64: no machine gets that far.
  report.totals.received = input.take<std::uint64_t>();
  for (auto& count : report.totals.versions) count = input.take<std::uint32_t>();
  for (auto& count : report.totals.drops) count = input.take<std::uint32_t>();
  for (auto& count : report.totals.latency) count = input.take<std::uint32_t>();
  for (auto n = input.take_below(4); n > 0; --n) {
    Endpoint endpoint{.port = input.take<std::uint16_t>(), .scope = input.take<std::uint32_t>()};
    if (input.take_bool()) endpoint.address.family = IpAddress::Family::v6;
    for (int i = 0; i < (endpoint.address.is_v4() ? 4 : 16); ++i) {
      endpoint.address.octets[static_cast<std::size_t>(i)] = input.take<std::uint8_t>();
    }
    if (endpoint.address.is_v4()) endpoint.scope = 0;
    report.listening.push_back(endpoint);
  }
  if (input.take_bool()) report.sources = control::report_with_a_source().sources;
  report.version = input.take_text();
  return report;
}

// Reads the text format as Prometheus does: NAME[{LABEL="VALUE",…}] NUMBER, nothing else.
Samples samples_of(std::string_view text) {
  Samples samples;
  while (!text.empty()) {
    const auto end = text.find('\n');
    NTP_CHECK(end != text.npos && end > 0);
    const auto line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.starts_with("# HELP ntp_") || line.starts_with("# TYPE ntp_")) continue;
    std::size_t at = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_");
    NTP_CHECK(line.starts_with("ntp_") && at != line.npos);
    if (line[at] == '{') {
      bool quoted = false;
      for (++at; at < line.size() && (quoted || line[at] != '}'); ++at) {
        if (quoted && line[at] == '\\') {
          ++at;
        } else if (line[at] == '"') {
          quoted = !quoted;
        }
      }
      ++at;
    }
    NTP_CHECK(at < line.size() && line[at] == ' ');
    const std::string number(line.substr(at + 1));
    char* behind = nullptr;
    const double value = std::strtod(number.c_str(), &behind);
    NTP_CHECK(!number.empty() && *behind == '\0');
    NTP_CHECK(samples.emplace(line.substr(0, at), value).second);  // none is told twice
  }
  return samples;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto report = report_of(input);
  const auto status = nlohmann::json::parse(status_json(report), nullptr, false);
  NTP_CHECK(status.is_object());
  const auto samples = samples_of(metrics(report));

  const auto& system = status.at("system");
  NTP_CHECK(samples.at("ntp_system_stratum") == system.at("stratum").get<int>());
  NTP_CHECK((samples.at("ntp_system_synchronised") == 1) == system.at("synchronised").get<bool>());
  NTP_CHECK((samples.at("ntp_system_local_clock") == 1) == system.at("local_clock").get<bool>());
  NTP_CHECK(samples.at("ntp_system_root_dispersion_seconds") == system.at("root_dispersion_s"));
  const auto& bound = system.at("error_bound_s");
  NTP_CHECK(bound.is_null() == std::isinf(samples.at("ntp_system_error_bound_seconds")));
  NTP_CHECK(bound.is_null() != system.at("synchronised").get<bool>());  // LOCL has none
  NTP_CHECK(samples.at("ntp_server_accepted_packets_total") == status.at("packets").at("accepted"));
  NTP_CHECK(samples.at("ntp_server_ignored_packets_total") == status.at("packets").at("ignored"));
  const bool ready = status.at("ready").at("ok").get<bool>();
  if (ready) NTP_CHECK(bound.get<double>() <= report.ready_max_error_s);
  NTP_CHECK(!status.at("ready").at("why").get<std::string>().empty());
  NTP_CHECK(status.at("listening").size() == report.listening.size());
  for (std::size_t i = 0; i < report.listening.size(); ++i) {
    if (report.listening[i].scope != 0) continue;
    NTP_CHECK(parse_endpoint(status.at("listening")[i].get<std::string>(), 1) ==
              report.listening[i]);
  }
  return 0;
}

#include "daemon/time_settings.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/time.h"

namespace ntp::daemon {
namespace {

constexpr const char* kSystemLeapFile = "/usr/share/zoneinfo/leap-seconds.list";

client::ClientSettings client_settings(const config::Settings& settings) {
  client::ClientSettings client{.sources = settings.sources};
  const double max_distance_s = seconds(settings.clock.max_root_distance);
  client.policy.selection.minsources = settings.clock.minsources;
  client.policy.selection.max_distance_s = max_distance_s;
  client.policy.max_root_distance_s = max_distance_s;
  client.policy.unsynchronised = settings.clock.unsynchronised;
  client.policy.local_wait_s = seconds(settings.clock.local_wait);
  client.policy.orphan_wait_s = seconds(settings.clock.orphan_wait);
  client.policy.local_stratum = static_cast<std::uint8_t>(settings.server.local_stratum);
  return client;
}

}  // namespace

std::string state_directory(const std::string& configured) {
  if (configured == "off") return {};
  if (!configured.empty()) return configured;
  const char* given = std::getenv("STATE_DIRECTORY");  // systemd separates several by colons
  const std::string_view all = given != nullptr ? given : "";
  return std::string(all.substr(0, all.find(':')));
}

TimeSettings time_settings(const config::Settings& settings) {
  const clock::HostPolicy host{
      .stratum = static_cast<std::uint8_t>(settings.server.stratum),
      .local_stratum = static_cast<std::uint8_t>(settings.server.local_stratum),
      .unsynchronised = settings.server.unsynchronised,
      .error_floor_s = seconds(settings.host_clock.error_floor),
      .error_unknown_s = seconds(settings.host_clock.error_unknown),
      .max_root_distance_s = seconds(settings.host_clock.max_root_distance)};
  TimeSettings out{
      .host = host, .client = client_settings(settings), .listen = settings.server.listen};
  const auto& clock = settings.clock;
  out.leap_file_is_default = clock.leap_seconds == "system";
  if (out.leap_file_is_default) {
    out.leap_file = kSystemLeapFile;
  } else if (clock.leap_seconds != "off") {
    out.leap_file = clock.leap_seconds;
  }
  if (clock.steer == clock::Actuator::system) {
    out.steering = clock::SteeringPolicy{.step_threshold_s = seconds(clock.step_threshold),
                                         .step_updates = clock.step_updates,
                                         .max_change_s = seconds(clock.max_change)};
  }
  const std::string directory = state_directory(clock.state_directory);
  if (!directory.empty()) {
    out.state_file = directory + "/clock";
    out.nts_file = directory + "/source-cookies";
  }
  out.tolerate_expired = settings.nts.certificate_times == config::CertificateTimes::synchronised;
  return out;
}

std::expected<client::SourceKeys, std::string> source_keys(const config::Settings& settings,
                                                           const server::SymmetricKeys* keys) {
  client::SourceKeys out;
  for (const client::SourceOptions& source : settings.sources) {
    if (source.key == 0) continue;
    const auto id = static_cast<std::uint32_t>(source.key);
    const crypto::MacKey* key = keys != nullptr ? keys->find(id) : nullptr;
    if (key == nullptr) {
      return std::unexpected(fmt::format("source {} has key {}, which {} does not have",
                                         source.host, source.key, settings.server.keys_file));
    }
    out.emplace(id, *key);
  }
  return out;
}

}  // namespace ntp::daemon

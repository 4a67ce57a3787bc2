#include "daemon/time_settings.h"

#include "base/time.h"

namespace ntp::daemon {
namespace {

client::ClientSettings client_settings(const config::Settings& settings) {
  client::ClientSettings client{.sources = settings.sources};
  const double max_distance_s = seconds(settings.clock.max_root_distance);
  client.policy.selection.minsources = settings.clock.minsources;
  client.policy.selection.max_distance_s = max_distance_s;
  client.policy.max_root_distance_s = max_distance_s;
  client.policy.unsynchronised = settings.clock.unsynchronised;
  client.policy.local_stratum = static_cast<std::uint8_t>(settings.server.local_stratum);
  return client;
}

}  // namespace

TimeSettings time_settings(const config::Settings& settings) {
  const clock::HostPolicy host{
      .stratum = static_cast<std::uint8_t>(settings.server.stratum),
      .local_stratum = static_cast<std::uint8_t>(settings.server.local_stratum),
      .unsynchronised = settings.server.unsynchronised,
      .error_floor_s = seconds(settings.host_clock.error_floor),
      .error_unknown_s = seconds(settings.host_clock.error_unknown),
      .max_root_distance_s = seconds(settings.host_clock.max_root_distance)};
  return {.host = host, .client = client_settings(settings)};
}

}  // namespace ntp::daemon

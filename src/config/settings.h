// The settings of the server, complete and checked. How they are found is config/load.h's business.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "client/source_options.h"
#include "clock/host_clock.h"
#include "clock/steering.h"
#include "server/access.h"

namespace ntp::config {

enum class LogLevel : std::uint8_t { error, warning, info, debug };
enum class Unlisted : std::uint8_t { automatic, allow, deny };
enum class LogFormat : std::uint8_t { text, json, logfmt };

// When sources may not show a certificate that has expired.
enum class CertificateTimes : std::uint8_t { always, synchronised };

// How much of the sandbox is demanded: what the kernel has, nothing, or all that it consists of.
enum class Sandbox : std::uint8_t { automatic, off, required };

struct ServerSettings {
  std::vector<Endpoint> listen;   // never empty
  bool listen_is_default = true;  // then a family that the machine lacks is tolerated
  std::optional<int> threads;     // workers per endpoint; empty: automatic; 0: one thread, poll(2)
  int stratum = 3;
  clock::Unsynchronised unsynchronised = clock::Unsynchronised::local;
  int local_stratum = 10;
  int poll_minimum = -6;      // log2 seconds
  std::uint32_t uid = 65532;  // what root becomes after binding
  std::uint32_t gid = 65532;
  Sandbox sandbox = Sandbox::automatic;
  std::string keys_file;  // symmetric keys, as chrony writes them; empty: none

  friend bool operator==(const ServerSettings&, const ServerSettings&) = default;
};

struct HostClockSettings {
  std::chrono::nanoseconds error_floor{std::chrono::milliseconds(1)};
  std::chrono::nanoseconds error_unknown{std::chrono::milliseconds(100)};
  std::chrono::nanoseconds max_root_distance{std::chrono::milliseconds(1500)};

  friend bool operator==(const HostClockSettings&, const HostClockSettings&) = default;
};

// What is made of the sources; without any it means nothing.
struct ClockSettings {
  clock::Unsynchronised unsynchronised = clock::Unsynchronised::refuse;
  std::chrono::nanoseconds local_wait{};
  std::chrono::nanoseconds orphan_wait{std::chrono::minutes(5)};
  int minsources = 1;
  std::chrono::nanoseconds max_root_distance{std::chrono::milliseconds(1500)};
  std::string leap_seconds = "system";  // or "off", or a path
  std::string state_directory;          // "off", or empty: $STATE_DIRECTORY
  clock::Actuator steer = clock::Actuator::none;
  std::chrono::nanoseconds step_threshold{std::chrono::milliseconds(500)};
  int step_updates = 3;                                             // -1: always
  std::chrono::nanoseconds max_change{std::chrono::seconds(1000)};  // 0: no limit

  friend bool operator==(const ClockSettings&, const ClockSettings&) = default;
};

// Who is answered. A listener that rules are about has these alone; the others have the rest.
struct AccessSettings {
  std::vector<server::AccessRule> allow{};
  std::vector<server::AccessRule> deny{};
  std::string rules{};                     // path of a file of more rules, or empty
  std::vector<server::AccessRule> more{};  // what that file says
  Unlisted unlisted = Unlisted::automatic;

  friend bool operator==(const AccessSettings&, const AccessSettings&) = default;
};

// How much one address is answered; server/rate_limit.h has what the numbers mean.
struct RateSettings {
  int limit = 1000;
  int burst = 8000;
  int leak = 2;
  int prefix_limit = 16000;
  bool kiss = false;

  friend bool operator==(const RateSettings&, const RateSettings&) = default;
};

// NTS (RFC 8915) for clients: on where there is a certificate.
struct NtsSettings {
  std::string certificate;  // paths; empty: NTS is off
  std::string key;
  std::vector<Endpoint> listen;  // TCP, for key establishment; never empty
  bool listen_is_default = true;
  std::string cookie_secret_file;  // empty: keys of this node's own
  std::string cookie_secret_previous_file;
  std::chrono::nanoseconds rotation{std::chrono::hours(24)};
  CertificateTimes certificate_times = CertificateTimes::always;  // of sources

  bool enabled() const noexcept { return !certificate.empty(); }

  friend bool operator==(const NtsSettings&, const NtsSettings&) = default;
};

struct HttpSettings {
  std::optional<Endpoint> listen;  // empty: off
  std::chrono::nanoseconds max_error{std::chrono::milliseconds(100)};

  friend bool operator==(const HttpSettings&, const HttpSettings&) = default;
};

struct LogSettings {
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::text;
  bool requests = false;

  friend bool operator==(const LogSettings&, const LogSettings&) = default;
};

struct Settings {
  ServerSettings server;
  HostClockSettings host_clock;
  ClockSettings clock;
  AccessSettings access;
  RateSettings rate;
  NtsSettings nts;
  HttpSettings http;
  std::string health_socket;  // "off", or empty: the first usable place, see os/unix_socket.h
  LogSettings log;
  std::vector<client::SourceOptions> sources;  // empty: the host's clock is served
  std::vector<std::string> warnings;  // things accepted but without effect, to be logged once

  friend bool operator==(const Settings&, const Settings&) = default;
};

}  // namespace ntp::config

// The configuration as the keeper of time takes it.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/client.h"
#include "clock/host_clock.h"
#include "clock/steering.h"
#include "config/settings.h"
#include "control/ke_view.h"
#include "server/symmetric_keys.h"

namespace ntp::daemon {

// To the process that establishes keys (ke/client.h).
struct KeyChannel {
  int fd = -1;                       // -1: there is none
  std::vector<std::string> roots{};  // that it was started with, in its order
  std::vector<std::string> marks{};  // of what each held then; empty: it could not be read
  std::shared_ptr<control::KeProcess> process{};  // what it has told of itself; for who reads fd
};

struct TimeSettings {
  clock::HostPolicy host{};
  client::ClientSettings client{};  // without sources the host's clock is served
  std::vector<Endpoint> listen{};
  std::string leap_file{};  // empty: none
  bool leap_file_is_default = false;
  std::optional<clock::SteeringPolicy> steering{};  // of the host's clock; empty: leave it alone
  std::string state_file{};                         // empty: none
  std::string nts_file{};                           // keys and cookies of sources; likewise
  client::SourceKeys keys{};                        // the symmetric ones that sources have
  bool tolerate_expired = false;                    // certificates, until the time is known
  KeyChannel channel{};
};

// As configured, or the first of $STATE_DIRECTORY; empty: none.
std::string state_directory(const std::string& configured);

TimeSettings time_settings(const config::Settings& settings);

// The symmetric keys of the sources, out of those of server.keys_file. The error says which is not
// there.
std::expected<client::SourceKeys, std::string> source_keys(const config::Settings& settings,
                                                           const server::SymmetricKeys* keys);

}  // namespace ntp::daemon

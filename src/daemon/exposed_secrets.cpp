#include "daemon/exposed_secrets.h"

#include "daemon/time_settings.h"
#include "os/places.h"

namespace ntp::daemon {

std::vector<std::string> exposed_secrets(const config::Settings& settings, const os::Reach& reach) {
  std::vector<std::string> secrets = {settings.server.keys_file, settings.nts.cookie_secret_file,
                                      settings.nts.cookie_secret_previous_file};
  if (const auto state = state_directory(settings.clock.state_directory); !state.empty()) {
    if (settings.nts.enabled()) secrets.push_back(state + "/cookie-keys");
    for (const client::SourceOptions& source : settings.sources) {
      if (!source.nts) continue;
      secrets.push_back(state + "/source-cookies");
      break;
    }
  }
  std::erase_if(secrets, [&](const std::string& file) {
    return file.empty() || !os::is_below(file, reach.read);
  });
  return secrets;
}

}  // namespace ntp::daemon

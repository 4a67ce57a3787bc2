// Landlock is given directories, because files are renewed by renaming. So a secret that lies
// beside the certificate is open to the process that reads what strangers send.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"
#include "os/landlock.h"

namespace ntp::daemon {

// The server's own secrets that `reach`, another process's, holds too. The certificate's key is not
// one of them: key establishment has to have it.
std::vector<std::string> exposed_secrets(const config::Settings& settings, const os::Reach& reach);

}  // namespace ntp::daemon

// What the server gives up once it has bound its sockets.
#pragma once

#include <expected>

#include "config/settings.h"
#include "daemon/log.h"
#include "daemon/workers.h"

namespace ntp::daemon {

// Root and every capability, but for CAP_SYS_TIME where clock.steer asks for it: without that it is
// a StartFailure. The log says what became of it.
std::expected<void, StartFailure> give_up_privileges(const config::Settings& settings, Log& log);

// Of this thread, CAP_SYS_TIME as well.
void give_up_the_rest(Log& log);

}  // namespace ntp::daemon

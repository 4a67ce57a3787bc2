// The listening TCP socket.
#pragma once

#include <expected>

#include "base/ip.h"
#include "os/error.h"
#include "os/fd.h"

namespace ntp::http {

// Bound and listening, non-blocking, closed on exec, SO_REUSEADDR; IPv6 takes IPv6 only. Port 0:
// the kernel chooses. A refusal is a value: the caller warns and tries again later.
std::expected<os::Fd, os::Error> listen_on(const Endpoint& endpoint);

}  // namespace ntp::http

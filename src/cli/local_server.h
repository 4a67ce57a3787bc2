// The server of this machine or container, asked over its own Unix socket.
#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <string_view>

namespace ntp::cli {

// The line that comes back, or why there is none. `socket` is the setting health.socket: empty for
// the usual places.
std::expected<std::string, std::string> ask_local_server(const std::string& socket,
                                                         std::string_view line,
                                                         std::chrono::milliseconds timeout);

}  // namespace ntp::cli

// The server of this machine or container, asked over its own Unix socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace ntp::cli {

struct LocalServer {
  std::string socket{};       // the setting health.socket: empty for the usual places
  std::uint32_t uid = 65532;  // of the setting server.user
};

// The line that comes back, or why there is none. The first place where there is a socket speaks:
// nobody else vouches for a server that has died there.
std::expected<std::string, std::string> ask_local_server(const LocalServer& server,
                                                         std::string_view line,
                                                         std::chrono::milliseconds timeout);

// Its status document (docs/formats/status.md), an object.
std::expected<nlohmann::json, std::string> ask_status(const LocalServer& server,
                                                      std::chrono::milliseconds timeout);

}  // namespace ntp::cli

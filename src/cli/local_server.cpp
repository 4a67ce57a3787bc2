#include "cli/local_server.h"

#include <nlohmann/json.hpp>

#include "daemon/health_channel.h"
#include "os/unix_socket.h"

namespace ntp::cli {

std::expected<std::string, std::string> ask_local_server(const LocalServer& server,
                                                         std::string_view line,
                                                         std::chrono::milliseconds timeout) {
  if (server.socket == "off") {
    return std::unexpected("health.socket is \"off\", so the server cannot be asked");
  }
  std::string failure;
  for (const std::string& path : os::health_socket_paths(server.socket)) {
    auto answer = os::ask_unix(path, line, timeout, server.uid);
    if (answer && !answer->starts_with(daemon::kRefused)) return std::move(*answer);
    if (answer) return std::unexpected(std::move(*answer));
    const bool absent = answer.error().code == ENOENT || answer.error().code == ENOTDIR;
    if (failure.empty() || !absent) failure = answer.error().text();
    if (!absent) break;
  }
  return std::unexpected("no ntp-server answers here: " + failure);
}

std::expected<nlohmann::json, std::string> ask_status(const LocalServer& server,
                                                      std::chrono::milliseconds timeout) {
  const auto answer = ask_local_server(server, daemon::kStatusQuestion, timeout);
  if (!answer) return std::unexpected(answer.error());
  auto status = nlohmann::json::parse(*answer, nullptr, false);
  if (!status.is_object()) return std::unexpected("the server's answer is no status document");
  return status;
}

}  // namespace ntp::cli

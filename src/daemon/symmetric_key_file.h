// The file of symmetric keys (server.keys_file), read as whom we serve.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "server/symmetric_keys.h"

namespace ntp::daemon {

struct SymmetricKeyFile {
  std::shared_ptr<const server::SymmetricKeys> keys{};  // null: no file was named
  std::vector<std::string> warnings{};
};

// An empty path is no file and no failure. The error says which file, what is wrong and what to do.
std::expected<SymmetricKeyFile, std::string> read_symmetric_keys(const std::string& path);

}  // namespace ntp::daemon

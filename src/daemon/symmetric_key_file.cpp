#include "daemon/symmetric_key_file.h"

#include <fmt/format.h>

#include <utility>

#include "os/secret_file.h"

namespace ntp::daemon {
namespace {

constexpr std::size_t kMaxFile = 1 << 20;

}  // namespace

std::expected<SymmetricKeyFile, std::string> read_symmetric_keys(const std::string& path) {
  if (path.empty()) return SymmetricKeyFile{};
  auto text = os::read_secret_file(path, kMaxFile);
  if (!text) return std::unexpected(text.error());
  auto parsed = server::parse_key_file(text->text);
  os::wipe(text->text);
  SymmetricKeyFile file;
  if (!text->warning.empty()) file.warnings.push_back(text->warning);
  for (const std::string& warning : parsed.warnings) {
    file.warnings.push_back(fmt::format("{}: {}", path, warning));
  }
  if (parsed.keys.size() == 0) {
    return std::unexpected(fmt::format("{} has no key in it that can be used{}{}", path,
                                       file.warnings.empty() ? "" : ": ",
                                       file.warnings.empty() ? "" : file.warnings.back()));
  }
  file.keys = std::make_shared<const server::SymmetricKeys>(std::move(parsed.keys));
  return file;
}

}  // namespace ntp::daemon

#include "daemon/cookie_secret.h"

#include <fmt/format.h>

namespace ntp::daemon {

std::expected<os::SecretText, std::string> read_cookie_secret(const std::string& path) {
  auto secret = os::read_secret_file(path, kLargestSecret);
  if (!secret) return secret;
  std::string& text = secret->text;
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.size() >= kLeastSecret) return secret;
  const std::size_t size = text.size();
  os::wipe(text);
  return std::unexpected(
      fmt::format("{}: it holds {} octets, and a secret needs at least {}; make one with `openssl "
                  "rand -hex 32`",
                  path, size, kLeastSecret));
}

}  // namespace ntp::daemon

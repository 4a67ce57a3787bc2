// The secret that the servers of a fleet share to make the same cookie keys.
#pragma once

#include <expected>
#include <string>

#include "os/secret_file.h"

namespace ntp::daemon {

inline constexpr std::size_t kLeastSecret = 32;
inline constexpr std::size_t kLargestSecret = 4096;

// The octets of the file without the line end that an editor or `echo` has put behind them; the
// caller wipes them. The error says which file, what is wrong and what to do.
std::expected<os::SecretText, std::string> read_cookie_secret(const std::string& path);

}  // namespace ntp::daemon

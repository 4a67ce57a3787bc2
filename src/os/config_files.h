// Reads the configuration's files and the environment for config::load().
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/load.h"

namespace ntp::os {

inline constexpr std::string_view kDefaultConfigFile = "/etc/ntp-server/ntp.toml";
inline constexpr std::size_t kLargestConfigFile = 1 << 20;
inline constexpr std::size_t kMostDropIns = 256;

// The main file, then conf.d/*.toml beside it in the order of their names (octet by octet, hidden
// ones left out). Without `named`, the default file may be missing; the directory always may.
// Every file that cannot be read is a problem of its own.
std::expected<std::vector<config::FileText>, config::Problems> read_config_files(
    const std::optional<std::string>& named);

// A file that a setting names, as config::Sources wants it.
std::expected<config::FileText, config::Problem> read_named_file(const std::string& path,
                                                                 std::size_t most);

std::vector<std::pair<std::string, std::string>> environment();

}  // namespace ntp::os

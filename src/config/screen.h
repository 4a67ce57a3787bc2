// What toml++ must not be shown. Its version 3.3 has undefined behaviour on some characters outside
// ASCII, and recurses as deep as tables are nested.
#pragma once

#include <expected>
#include <string>

#include "config/load.h"

namespace ntp::config {

// The text with every octet outside ASCII blotted out of its comments; lines and columns stay. No
// value of any setting has such octets, so that elsewhere they are a problem. A byte order mark
// stays.
std::expected<std::string, Problem> screen(const FileText& file);

}  // namespace ntp::config

// Small files, as a whole.
#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

#include "os/error.h"

namespace ntp::os {

// EFBIG when there is more than `most`, EISDIR and EINVAL when it is not a file.
std::expected<std::string, Error> read_text_file(const std::string& path, std::size_t most);

// The old text or the new one, never a part; but nothing is waited for, so after a loss of power
// the file may be empty or torn.
std::expected<void, Error> replace_text_file(const std::string& path, std::string_view text);

// Neither a pipe nor a terminal: nobody reads it who could fall asleep.
bool is_regular_file(int fd) noexcept;

}  // namespace ntp::os

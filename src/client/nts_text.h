// The keys and cookies of the sources, for the next start, as a text with a checksum. Pure: whoever
// owns the state directory reads and writes the file, which is a secret. Nothing in it is needed: a
// text that is torn or garbled is refused as a whole, and keys that the server has forgotten by
// then are answered with a NAK.
//
//   ntp-server-nts 1
//   source NAME KE-PORT ADDRESS SERVER AEAD C2S S2C    keys in hexadecimal digits
//   cookie DIGITS                                      of the source before, up to eight
//   checksum DIGITS                                    of all lines before
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "client/source.h"

namespace ntp::client {

inline constexpr std::size_t kMaxNtsText = 1 << 20;

std::string format_nts(const std::vector<SavedNts>& all);
// The error is one word or two about what is wrong.
std::expected<std::vector<SavedNts>, std::string_view> parse_nts(std::string_view text);

}  // namespace ntp::client

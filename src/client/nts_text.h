// The keys and cookies of the sources, for the next start, as a text with a checksum. Pure: whoever
// owns the state directory reads and writes the file, which is a secret. Nothing in it is needed: a
// text that is torn or garbled is refused as a whole, and keys that the server has forgotten by
// then are answered with a NAK.
//
//   ntp-server-nts 2
//   source NAME KE-PORT ADDRESS SERVER DATE ROOTS MARK AEAD C2S S2C
//   cookie DIGITS      of the source before, up to eight
//   checksum DIGITS    of all lines before
//
// DATE is when the keys were established, in seconds of UTC since 1970. ROOTS is the path of the
// file of roots, MARK what tells its content from others; these and the keys are hexadecimal
// digits, "-" stands for an empty one. Format 1 had neither date nor roots: nothing of it is kept.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "client/source.h"

namespace ntp::client {

inline constexpr std::size_t kMaxNtsText = 1 << 20;

std::string format_nts(const std::vector<SavedNts>& all, const Instant& now);
// The error is one word or two about what is wrong. Keys from the future are as old as keys can be:
// one of both times was wrong, and nobody knows which.
std::expected<std::vector<SavedNts>, std::string_view> parse_nts(std::string_view text,
                                                                 const Instant& now);

}  // namespace ntp::client

// SHA-1 (FIPS 180-4), for the checksum of leap-seconds.list only: it is no protection from anybody.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ntp::clock {

std::array<std::uint32_t, 5> sha1(std::string_view text);

}  // namespace ntp::clock

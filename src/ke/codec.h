// How the messages of this folder write texts and times. For this folder only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"

namespace ntp::ke {

inline bool is_printable(char c) { return c >= 0x20 && c <= 0x7e; }

inline void put_text(ByteWriter& out, const std::string& text, std::size_t most) {
  const auto size = static_cast<std::uint16_t>(std::min(text.size(), most));
  out.write(size);
  for (const char c : std::string_view(text).substr(0, size)) {
    out.write(static_cast<std::uint8_t>(is_printable(c) ? c : '?'));
  }
}

inline std::optional<std::string> get_text(ByteReader& in, std::size_t most) {
  const auto size = in.read<std::uint16_t>();
  if (size > most) return std::nullopt;
  std::string text;
  for (const std::byte octet : in.take(size)) text += static_cast<char>(octet);
  if (!in.ok() || !std::ranges::all_of(text, is_printable)) return std::nullopt;
  return text;
}

inline void put_time(ByteWriter& out, RealTime time) {
  out.write(static_cast<std::uint64_t>(time.time_since_epoch().count()));
}
inline RealTime get_time(ByteReader& in) {
  return RealTime(std::chrono::nanoseconds(static_cast<std::int64_t>(in.read<std::uint64_t>())));
}

}  // namespace ntp::ke

// Extension fields one after the other (RFC 7822 section 7.5): what NTS reads and writes of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "wire/packet.h"

namespace ntp::nts {

inline constexpr std::size_t kFieldHeader = 4;  // type and length
inline constexpr std::size_t kMinField = 16;

constexpr std::size_t padded(std::size_t size) noexcept { return (size + 3) / 4 * 4; }

struct Field {
  std::uint16_t type = 0;
  std::span<const std::byte> whole{};
  std::span<const std::byte> body{};
};

// Takes the first field off `rest`; nothing, and `rest` unchanged, where it is no field.
inline std::optional<Field> take_field(std::span<const std::byte>& rest) noexcept {
  ByteReader in(rest);
  const auto type = in.read<std::uint16_t>();
  const std::size_t length = in.read<std::uint16_t>();
  if (!in.ok() || length < kMinField || length % 4 != 0 || length > rest.size()) {
    return std::nullopt;
  }
  const Field field{
      .type = type, .whole = rest.first(length), .body = rest.first(length).subspan(kFieldHeader)};
  rest = rest.subspan(length);
  return field;
}

// Writes a field of `body`, whose size is a multiple of four; `out` has exactly the room.
inline void write_field(std::uint16_t type, std::span<const std::byte> body,
                        std::span<std::byte> out) noexcept {
  ByteWriter writer(out);
  writer.write(type);
  writer.write(static_cast<std::uint16_t>(out.size()));
  copy_octets(body, out.subspan(kFieldHeader));
}

}  // namespace ntp::nts

#include "wire/header.h"

#include "base/bytes.h"

namespace ntp::wire {

Header parse_header(std::span<const std::byte, kHeaderSize> bytes) noexcept {
  ByteReader in(bytes);
  Header h;
  const auto first = in.read<std::uint8_t>();
  h.leap = static_cast<Leap>(first >> 6);
  h.version = (first >> 3) & 7;
  h.mode = static_cast<Mode>(first & 7);
  h.stratum = in.read<std::uint8_t>();
  h.poll = static_cast<std::int8_t>(in.read<std::uint8_t>());
  h.precision = static_cast<std::int8_t>(in.read<std::uint8_t>());
  h.root_delay = {in.read<std::uint32_t>()};
  h.root_dispersion = {in.read<std::uint32_t>()};
  h.refid = in.read<std::uint32_t>();
  h.reftime = {in.read<std::uint64_t>()};
  h.org = {in.read<std::uint64_t>()};
  h.rec = {in.read<std::uint64_t>()};
  h.xmt = {in.read<std::uint64_t>()};
  return h;
}

void encode_header(const Header& header, std::span<std::byte, kHeaderSize> out) noexcept {
  ByteWriter writer(out);
  writer.write(static_cast<std::uint8_t>((static_cast<unsigned>(header.leap) << 6) |
                                         ((header.version & 7u) << 3) |
                                         static_cast<unsigned>(header.mode)));
  writer.write(header.stratum);
  writer.write(static_cast<std::uint8_t>(header.poll));
  writer.write(static_cast<std::uint8_t>(header.precision));
  writer.write(header.root_delay.bits);
  writer.write(header.root_dispersion.bits);
  writer.write(header.refid);
  writer.write(header.reftime.bits);
  writer.write(header.org.bits);
  writer.write(header.rec.bits);
  writer.write(header.xmt.bits);
}

}  // namespace ntp::wire

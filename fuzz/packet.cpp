// wire::parse_packet on any octets: spans stay inside, and what it accepts adds up to the packet.
#include <algorithm>
#include <array>

#include "check.h"
#include "wire/packet.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  const auto octets = fuzz::octets_of(data, size);
  const auto packet = wire::parse_packet(octets);
  if (!packet) return 0;
  NTP_CHECK(fuzz::is_within(packet->fields, octets) && fuzz::is_within(packet->mac, octets));
  NTP_CHECK(wire::kHeaderSize + packet->fields.size() + packet->mac.size() == size);
  // Versions over 4 are for the gate to refuse; those before it have no fields.
  NTP_CHECK(packet->header.version >= 4 || packet->fields.empty());
  const std::size_t mac = packet->mac.size();
  NTP_CHECK(mac == 0 || mac == 4 || mac == 20 || mac == 24);
  std::array<std::byte, wire::kHeaderSize> again;
  encode_header(packet->header, again);
  NTP_CHECK(std::ranges::equal(again, octets.first<wire::kHeaderSize>()));
  return 0;
}

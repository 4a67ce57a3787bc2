// One question to a server and what its answer says (RFC 5905 section 8, figure 15).
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>

#include "base/time.h"
#include "wire/header.h"

namespace ntp::client {

// A request that tells nothing about its sender: version, client, all else zero but 64 random
// bits as xmt, which the answer must repeat (RFC 9109, draft-ietf-ntp-data-minimization).
wire::Header make_request(std::uint64_t nonce, std::uint8_t version = 4) noexcept;

// What the four stamps of an exchange say; `sent` and `received` are of one clock.
struct Path {
  double offset_s = 0;  // server's clock minus ours
  double delay_s = 0;   // round trip without the server's own time; below zero where stamps are off
};
Path path_of(const wire::Header& reply, RealTime sent, RealTime received) noexcept;

struct Measurement {
  wire::Header reply;
  double offset_s = 0;         // server's clock minus ours
  double delay_s = 0;          // round trip without the server's own time
  double root_distance_s = 0;  // what the server states of itself, plus half of our delay
};

enum class Mismatch : std::uint8_t {
  malformed,    // not a packet of RFC 5905
  not_a_reply,  // mode is not server
  not_ours,     // origin is not our nonce: late, forged or doubled
  kiss,         // stratum 0 with a kiss code and leap 3
};
std::string_view describe(Mismatch mismatch) noexcept;

// `sent` and `received` are readings of the one local clock that the offset is against.
std::expected<Measurement, Mismatch> measure(std::span<const std::byte> datagram,
                                             std::uint64_t nonce, RealTime sent,
                                             RealTime received) noexcept;

}  // namespace ntp::client

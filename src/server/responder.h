// The whole decision of an NTP server, as pure functions: bytes and stamps in, a reply or a reason
// for silence out. Rules G1-G16 stand in docs/formats/wire.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "base/ip.h"
#include "base/random.h"
#include "base/time.h"
#include "server/authentication.h"
#include "server/drop.h"
#include "server/policy.h"
#include "server/state.h"
#include "wire/header.h"

namespace ntp::server {

// One datagram as the socket delivered it. `payload` is borrowed for the call.
struct Arrival {
  std::span<const std::byte> payload{};
  bool truncated = false;  // the kernel cut it (MSG_TRUNC)
  Endpoint source{};
  Endpoint local{};              // the address and port that it was sent to
  bool through_loopback = true;  // it came in by the loopback interface
  bool to_many = false;          // it was sent to a broadcast or multicast address
};

// All that a reply says about the clock, the same for every request of a batch: leap, stratum,
// precision, refid, reftime, root delay and dispersion aged to `now`. xmt, rec and org are zero.
wire::Header describe_clock(const ServerState& state, RawTime now) noexcept;

// The decision is gate -> access -> parse -> account -> authenticate -> verdict, in three steps, so
// that many requests can be authenticated at once:
//
//   examine       everything before the proof: who may ask at all, and is it a request?
//   authenticate  of those that carry a proof (server/authentication.h)
//   conclude      the reply, or why there is none
//
// A request is charged to its source once it is known to be one, and judged once it has had the
// chance to prove who sent it; of such proofs only so many are examined above the limit
// (RateLimiter::may_examine). `rate` has had its begin() for this batch; null: no limit.

// One that was let in. Borrows the octets of its arrival.
struct Request {
  wire::Packet packet{};
  RateLimiter::Charge charge{};

  bool has_proof() const noexcept { return packet.has_nts_field || !packet.mac.empty(); }
};
std::expected<void, Drop> examine(const Arrival& arrival, const Policy& policy,
                                  const Secrets& secrets, RateLimiter* rate, Request& to) noexcept;

// The reply with everything but xmt, which the shell reads as late as it can. `clock` is
// describe_clock() of this batch; `rec` is when the datagram arrived, on the served timescale;
// `by` is none for a request without a proof, else what authenticate() found.
std::expected<wire::Header, Drop> conclude(const Request& request, const Arrival& arrival,
                                           const wire::Header& clock, const Policy& policy,
                                           NtpTimestamp rec, RateLimiter* rate,
                                           Seal::Kind by) noexcept;

// All three for one request. `authentication` has the keys in force and is told what the reply is
// sealed with; null: there are none.
std::expected<wire::Header, Drop> respond(const Arrival& arrival, const wire::Header& clock,
                                          const Policy& policy, NtpTimestamp rec,
                                          RateLimiter* rate = nullptr,
                                          Authentication* authentication = nullptr) noexcept;

inline constexpr std::uint32_t kKissRate = wire::refid_of("RATE");
// A kiss-o'-death (RFC 5905 section 7.4): a word and no time, so no stamp belongs to it.
bool is_kiss(const wire::Header& reply) noexcept;

// Sets xmt, fills the bits of rec and xmt that the clock cannot resolve with noise (RFC 5905
// section 6), checks the golden rules and writes the octets to send. A rec after xmt gives way: the
// clock was stepped back in between, and xmt is the younger reading.
void seal(wire::Header& reply, const Arrival& arrival, NtpTimestamp xmt, NoiseSource& noise,
          std::span<std::byte, wire::kHeaderSize> out) noexcept;

// The same for the whole reply: header, then what `by` puts behind it. out.size() == by.size().
void seal(wire::Header& reply, const Arrival& arrival, NtpTimestamp xmt, NoiseSource& noise,
          const Seal& by, std::span<std::byte> out) noexcept;

}  // namespace ntp::server

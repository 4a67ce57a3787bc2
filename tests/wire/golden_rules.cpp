#include "golden_rules.h"

#include <algorithm>
#include <array>
#include <bit>

namespace ntp::wire_test {
namespace {

using Octets = std::span<const std::byte>;

unsigned octet(Octets bytes, std::size_t at) { return std::to_integer<unsigned>(bytes[at]); }

std::uint64_t number(Octets bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | octet(bytes, at + i);
  return value;
}

// later >= earlier on a clock whose eras wrap.
bool in_order(std::uint64_t earlier, std::uint64_t later) {
  return static_cast<std::int64_t>(later - earlier) >= 0;
}

// G3, G4: who may get an answer at all.
const char* broken_by_the_request(const server::Arrival& arrival) {
  const Octets request = arrival.payload;
  if (arrival.truncated || request.size() > 1500) return "G4: a packet over 1,500 octets";
  if (request.size() % 4 != 0) return "G4: a length that is no multiple of 4";
  const unsigned version = octet(request, 0) >> 3 & 7;
  const unsigned mode = octet(request, 0) & 7;
  if (version < 1 || version > 4) return "G3: a version other than 1 to 4";
  const bool old_client =
      version == 1 && mode == 0 && request.size() == 48 && arrival.source.port != 123;
  if (mode != 3 && mode != 1 && !old_client) return "G3: a mode that is no request";
  if (arrival.source.port == 0) return "A04: a source that has no port";
  if (arrival.source.address == arrival.local.address &&
      arrival.source.port == arrival.local.port) {
    return "A04: the server talks to itself";
  }
  return nullptr;
}

// G7, G8: an answered request has nothing behind its header but whole, unknown extension fields.
const char* broken_by_the_tail(Octets request) {
  if (request.size() == 48) return nullptr;
  if ((octet(request, 0) >> 3 & 7) != 4) return "G7: something follows the header before version 4";
  std::size_t at = 48;
  std::size_t last = 0;
  while (at < request.size()) {
    if (request.size() - at < 4) return "G7: half a field";
    const auto type = number(request, at, 2);
    last = number(request, at + 2, 2);
    if (last < 16 || last % 4 != 0) return "G7: a field of a wrong length";
    if (type == 0x0104 || type == 0x0204 || type == 0x0304 || type == 0x0404) {
      return "G8: plain time for an NTS request";
    }
    at += last;
  }
  if (at != request.size()) return "G7: a field past the end of the packet";
  return last < 28 ? "G7: a last field that may be a MAC" : nullptr;
}

const char* broken_by_the_header(const Situation& s, Octets reply) {
  const Octets request = s.arrival.payload;
  const unsigned request_mode = octet(request, 0) & 7;
  if ((octet(reply, 0) & 7) != (request_mode == 1 ? 2u : 4u)) return "G3: the reply's mode";
  if ((octet(reply, 0) >> 3 & 7) != (octet(request, 0) >> 3 & 7)) return "G5: another version";
  if (number(reply, 24, 8) != number(request, 40, 8)) return "G6: the origin is not the request's";
  const unsigned leap = octet(reply, 0) >> 6;
  const unsigned stratum = octet(reply, 1);
  if ((leap == 3) != (stratum == 0)) return "G9: leap 3 and stratum 0 go together";
  if (stratum > 15) return "G9: a stratum over 15 on the wire";
  const auto poll_of_request = static_cast<std::int8_t>(octet(request, 2));
  const int poll = std::clamp(std::max<int>(poll_of_request, s.policy.poll_minimum), -6, 17);
  if (static_cast<std::int8_t>(octet(reply, 2)) != poll) return "G16: poll";
  return nullptr;
}

const char* broken_by_the_stamps(const Situation& s, Octets reply) {
  const auto precision = static_cast<std::int8_t>(octet(reply, 3));
  if (precision < -30 || precision > -5) return "G10: a precision that no clock has";
  const std::uint64_t reftime = number(reply, 16, 8);
  const std::uint64_t rec = number(reply, 32, 8);
  const std::uint64_t xmt = number(reply, 40, 8);
  if (!in_order(rec, xmt)) return "G10: sent before it was received";
  // Zero is not a time: it says that the clock was never set (RFC 5905 section 7.3).
  if (reftime != 0 && !in_order(reftime, rec)) return "G10: the clock was set after the reception";
  const std::uint64_t known = ~std::uint64_t{0} << (32 + precision);
  if (in_order(s.rec.bits, s.xmt.bits) && (rec & known) != (s.rec.bits & known)) {
    return "G10: noise above the precision in rec";
  }
  if (in_order(s.rec.bits, s.xmt.bits) && (xmt & known) != (s.xmt.bits & known)) {
    return "G10: noise above the precision in xmt";
  }
  return nullptr;
}

// G15: what a reply says beyond the request comes from the clock's description and nowhere else.
const char* broken_by_the_rest(const Situation& s, Octets reply) {
  if (octet(reply, 0) >> 6 != static_cast<unsigned>(s.clock.leap)) return "G15: leap";
  if (octet(reply, 1) != s.clock.stratum) return "G15: stratum";
  if (static_cast<std::int8_t>(octet(reply, 3)) != s.clock.precision) return "G15: precision";
  if (number(reply, 4, 4) != s.clock.root_delay.bits) return "G15: root delay";
  if (number(reply, 8, 4) != s.clock.root_dispersion.bits) return "G15: root dispersion";
  if (number(reply, 12, 4) != s.clock.refid) return "G15: refid";
  const std::uint64_t reftime = number(reply, 16, 8);
  if (s.clock.reftime.bits == 0 && reftime != 0) return "G15: a clock never set says that it was";
  return nullptr;
}

}  // namespace

Reaction react(const Situation& s) {
  auto reply = server::respond(s.arrival, s.clock, s.policy, s.rec);
  if (!reply) return std::unexpected(reply.error());
  NoiseSource noise(s.seed);
  std::array<std::byte, wire::kHeaderSize> octets;
  server::seal(*reply, s.arrival, s.xmt, noise, octets);
  return octets;
}

std::optional<std::string> broken_header_rule(const Situation& s, Octets reply) {
  for (const char* broken : {broken_by_the_request(s.arrival), broken_by_the_header(s, reply),
                             broken_by_the_stamps(s, reply), broken_by_the_rest(s, reply)}) {
    if (broken != nullptr) return broken;
  }
  return std::nullopt;
}

std::optional<std::string> broken_kiss_rule(const Situation& s, Octets reply) {
  for (const char* broken : {broken_by_the_request(s.arrival), broken_by_the_header(s, reply)}) {
    if (broken != nullptr) return broken;
  }
  if (number(reply, 4, 8) != 0 || number(reply, 16, 8) != 0 || number(reply, 32, 8) != 0 ||
      number(reply, 40, 8) != 0) {
    return "G10: a kiss that tells the time";
  }
  return std::nullopt;
}

std::optional<std::string> broken_rule(const Situation& s, const Reaction& reaction) {
  if (!reaction) return std::nullopt;
  if (s.arrival.payload.size() < reaction->size()) return "G1: the reply is longer";
  if (const char* broken = broken_by_the_request(s.arrival)) return broken;
  if (const char* broken = broken_by_the_tail(s.arrival.payload)) return broken;
  return broken_header_rule(s, *reaction);
}

}  // namespace ntp::wire_test

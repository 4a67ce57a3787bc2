#include "server/responder.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/check.h"
#include "wire/packet.h"

namespace ntp::server {
namespace {

using wire::Leap;
using wire::Mode;

constexpr std::uint16_t kNtpPort = 123;
constexpr int kMinPoll = -6;
constexpr int kMaxPoll = 17;
constexpr int kMinPrecision = -30;
constexpr int kMaxPrecision = -5;

// G4: length, version and mode are judged before anything is parsed or remembered.
std::expected<void, Drop> gate(const Arrival& arrival) noexcept {
  const std::size_t size = arrival.payload.size();
  if (arrival.truncated || size > wire::kMaxPacketSize) return std::unexpected(Drop::too_long);
  if (size < wire::kHeaderSize) return std::unexpected(Drop::too_short);
  const auto first = std::to_integer<unsigned>(arrival.payload[0]);
  const unsigned version = (first >> 3) & 7;
  const auto mode = static_cast<Mode>(first & 7);
  if (version < 1 || version > 4) return std::unexpected(Drop::bad_version);
  const bool v1_client = version == 1 && mode == Mode::reserved && size == wire::kHeaderSize &&
                         arrival.source.port != kNtpPort;  // RFC 1059 knew no modes
  if (mode != Mode::client && mode != Mode::symmetric_active && !v1_client) {
    return std::unexpected(Drop::bad_mode);
  }
  if (size % 4 != 0) return std::unexpected(Drop::bad_length);
  return {};
}

// Sources that no honest client has. A reply to one of them would go astray or come back to us.
bool is_bad_source(const Arrival& arrival) noexcept {
  const IpAddress& from = arrival.source.address;
  return arrival.source.port == 0 || from.is_unspecified() || from.is_multicast() ||
         from.is_broadcast() || (from.is_loopback() && !arrival.through_loopback) ||
         (from == arrival.local.address && arrival.source.port == arrival.local.port);
}

// The server's question to itself, by which it knows that its sockets live, is no client's.
bool is_self_probe(const Arrival& arrival, const Policy& policy) noexcept {
  if (policy.probe_xmt == 0 || !arrival.through_loopback) return false;
  constexpr std::size_t kXmt = 40;
  ByteReader xmt(arrival.payload.subspan(kXmt));
  return xmt.read<std::uint64_t>() == policy.probe_xmt;
}

bool is_denied(const Arrival& arrival, const Policy& policy) noexcept {
  return policy.access != nullptr && !policy.access->allows(arrival.source.address) &&
         !is_self_probe(arrival, policy);
}

// A kiss-o'-death (RFC 5905 section 7.4, G9): a word and no time.
void make_kiss(wire::Header& reply, std::uint32_t code) noexcept {
  reply.leap = Leap::unknown;
  reply.stratum = 0;
  reply.refid = code;
  reply.root_delay = {};
  reply.root_dispersion = {};
  reply.reftime = {};
  reply.rec = {};
}

Drop drop_of(wire::ParseError error) noexcept {
  switch (error) {
    case wire::ParseError::length:
      return Drop::bad_length;
    case wire::ParseError::extension:
      return Drop::malformed_extension;
    case wire::ParseError::mac:
      return Drop::malformed_mac;
  }
  NTP_CHECK(false);
}

// The answer to a request that was charged: of whoever is over the limit, whether by its own fault
// or in its name, there is none but by chance.
std::expected<void, Drop> judge(RateLimiter& rate, const RateLimiter::Charge& charge,
                                bool authenticated, wire::Header& reply) noexcept {
  switch (rate.judge(charge, authenticated)) {
    case RateVerdict::serve:
      return {};
    case RateVerdict::drop:
      break;
    case RateVerdict::kiss:
      make_kiss(reply, kKissRate);
      return {};
  }
  return std::unexpected(Drop::over_limit);
}

// Below the clock's precision a stamp carries no knowledge; noise keeps it from carrying a pattern.
NtpTimestamp with_noise(NtpTimestamp stamp, int precision, NoiseSource& noise) noexcept {
  const std::uint64_t mask = (std::uint64_t{1} << (32 + precision)) - 1;
  return {(stamp.bits & ~mask) | (noise.next() & mask)};
}

// G10: the clock cannot have been set after the packet came; the host stepped back. Zero is no
// time: a clock that was never set must not look as if it had been (RFC 5905 section 7.3), and as a
// signed difference zero lies in the future for half of every era.
void keep_reftime_behind_rec(wire::Header& reply) noexcept {
  if (reply.reftime.bits != 0 && difference(reply.rec, reply.reftime) < 0) {
    reply.reftime = reply.rec;
  }
}

// Sets xmt and the noise of both stamps.
void stamp(wire::Header& reply, NtpTimestamp xmt, NoiseSource& noise) noexcept {
  reply.rec = with_noise(reply.rec, reply.precision, noise);
  reply.xmt = with_noise(xmt, reply.precision, noise);
  // The host stepped back in between (or the noise says so): the younger reading is the right one.
  if (difference(reply.xmt, reply.rec) < 0) reply.rec = reply.xmt;
  keep_reftime_behind_rec(reply);
}

}  // namespace

bool is_serving(const ServerState& state, RawTime now) noexcept {
  return state.leap != Leap::unknown && now - state.at <= kStateLifetime;
}

double error_bound_s(const ServerState& state, RawTime now) noexcept {
  const double age_s = std::max(0.0, seconds(now - state.at));
  return state.root_delay_s / 2 + state.root_dispersion_s + age_s * state.dispersion_rate;
}

wire::Header describe_clock(const ServerState& state, RawTime now) noexcept {
  wire::Header clock;
  clock.mode = Mode::server;
  clock.precision =
      static_cast<std::int8_t>(std::clamp<int>(state.precision, kMinPrecision, kMaxPrecision));
  if (!is_serving(state, now)) {
    clock.leap = Leap::unknown;
    clock.root_dispersion = NtpShort::rounded_up(kMaxDispersion_s);
    return clock;  // stratum 0 and refid 0: G9
  }
  NTP_CHECK(state.stratum >= 1 && state.stratum <= 15);
  clock.leap = state.leap;
  clock.stratum = state.stratum;
  clock.refid = state.refid;
  clock.reftime = state.reftime;
  clock.root_delay = NtpShort::rounded_up(state.root_delay_s);
  clock.root_dispersion = NtpShort::rounded_up(error_bound_s(state, now) - state.root_delay_s / 2);
  return clock;
}

// Without a clock, too, stratum is 0; but then the reply says of no clock where it came from.
bool is_kiss(const wire::Header& reply) noexcept { return reply.stratum == 0 && reply.refid != 0; }

std::expected<void, Drop> examine(const Arrival& arrival, const Policy& policy,
                                  const Secrets& secrets, RateLimiter* rate, Request& to) noexcept {
  if (const auto open = gate(arrival); !open) return std::unexpected(open.error());
  if (arrival.to_many) return std::unexpected(Drop::to_many);
  if (is_bad_source(arrival)) return std::unexpected(Drop::bad_source);
  if (is_denied(arrival, policy)) return std::unexpected(Drop::denied);
  if (const auto parsed = wire::parse_packet(arrival.payload, to.packet); !parsed) {
    const auto uncut = parse_uncut_mac(arrival.payload, secrets);
    if (!uncut) return std::unexpected(drop_of(parsed.error()));
    to.packet = *uncut;
  }
  if (to.packet.mac.size() == 4) return std::unexpected(Drop::malformed_mac);  // a crypto-NAK
  to.charge = rate != nullptr ? rate->charge(arrival.source) : RateLimiter::Charge{};
  if (to.has_proof() && !to.charge.within && !rate->may_examine(to.charge)) {
    return std::unexpected(Drop::over_limit);
  }
  return {};
}

std::expected<wire::Header, Drop> conclude(const Request& request, const Arrival& arrival,
                                           const wire::Header& clock, const Policy& policy,
                                           NtpTimestamp rec, RateLimiter* rate,
                                           Seal::Kind by) noexcept {
  const wire::Header& asked = request.packet.header;
  std::expected<wire::Header, Drop> answer = clock;  // the one that is returned: not copied
  wire::Header& reply = *answer;
  reply.version = asked.version;
  reply.mode = asked.mode == Mode::symmetric_active ? Mode::symmetric_passive : Mode::server;
  reply.poll = static_cast<std::int8_t>(
      std::clamp<int>(std::max(asked.poll, policy.poll_minimum), kMinPoll, kMaxPoll));
  reply.org = asked.xmt;
  reply.rec = rec;
  keep_reftime_behind_rec(reply);
  if (by == Seal::Kind::nts_nak) make_kiss(reply, nts::kKissNtsn);
  if (request.charge.within) return answer;
  const bool authenticated =
      is_self_probe(arrival, policy) || by == Seal::Kind::mac || by == Seal::Kind::nts;
  if (const auto judged = judge(*rate, request.charge, authenticated, reply); !judged) {
    answer = std::unexpected(judged.error());
  } else if (by != Seal::Kind::none && !authenticated && reply.refid == kKissRate) {
    answer = std::unexpected(Drop::over_limit);  // G8: who asked with NTS gets NTSN or no kiss
  }
  return answer;
}

std::expected<wire::Header, Drop> respond(const Arrival& arrival, const wire::Header& clock,
                                          const Policy& policy, NtpTimestamp rec, RateLimiter* rate,
                                          Authentication* authentication) noexcept {
  Request request;
  const Secrets secrets = authentication != nullptr ? authentication->secrets : Secrets{};
  if (const auto let_in = examine(arrival, policy, secrets, rate, request); !let_in) {
    return std::unexpected(let_in.error());
  }
  auto by = Seal::Kind::none;
  if (authentication == nullptr) {
    if (request.packet.has_nts_field) return std::unexpected(Drop::nts_disabled);
    if (request.has_proof()) return std::unexpected(Drop::unknown_key);
  } else if (request.has_proof()) {
    std::array claim{Claim{.bytes = arrival.payload,
                           .packet = &request.packet,
                           .client = arrival.source.address,
                           .seal = &authentication->seal}};
    authenticate(claim, secrets, authentication->random);
    if (claim[0].drop) return std::unexpected(*claim[0].drop);
    by = authentication->seal.kind();
  } else {
    authentication->seal.set_none();
  }
  return conclude(request, arrival, clock, policy, rec, rate, by);
}

void seal(wire::Header& reply, const Arrival& arrival, NtpTimestamp xmt, NoiseSource& noise,
          std::span<std::byte, wire::kHeaderSize> out) noexcept {
  if (!is_kiss(reply)) stamp(reply, xmt, noise);

  NTP_CHECK(arrival.payload.size() >= wire::kHeaderSize);                          // G1
  NTP_CHECK(reply.mode == Mode::server || reply.mode == Mode::symmetric_passive);  // G3
  NTP_CHECK(reply.version >= 1 && reply.version <= 4);                             // G5
  NTP_CHECK((reply.leap == Leap::unknown) == (reply.stratum == 0));                // G9
  NTP_CHECK(reply.poll >= kMinPoll && reply.poll <= kMaxPoll);                     // G16
  encode_header(reply, out);
}

void seal(wire::Header& reply, const Arrival& arrival, NtpTimestamp xmt, NoiseSource& noise,
          const Seal& by, std::span<std::byte> out) noexcept {
  NTP_CHECK(arrival.payload.size() >= out.size());  // G1
  seal(reply, arrival, xmt, noise, out.first<wire::kHeaderSize>());
  if (by.kind() != Seal::Kind::none) Seal::apply(std::array{Seal::Application{&by, out}});
}

}  // namespace ntp::server

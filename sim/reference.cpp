#include "sim/reference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

namespace ntp::sim {
namespace {

constexpr std::int8_t kPrecision = -25;
constexpr std::size_t kOrigin = 24;  // octets of the header where stamps begin
constexpr std::size_t kReceive = 32;
constexpr std::size_t kTransmit = 40;

double offset_of(const Lie& lie, double at_s, Random& random) {
  const double since = lie.when.since_s(at_s);
  const double angle = 2 * std::numbers::pi * since / lie.swing_period_s;
  const double noise = lie.noise_s > 0 ? lie.noise_s * random.normal() : 0;
  return lie.offset_s + lie.drift * since + lie.swing_s * std::sin(angle) + noise;
}

}  // namespace

Reference::Reference(ServerModel model, std::vector<Lie> lies, std::uint64_t seed,
                     std::uint64_t stream)
    : model_(std::move(model)), lies_(std::move(lies)), random_(seed, stream), noise_(seed) {}

server::ServerState Reference::state(double at_s, RealTime utc, RealTime unleapt,
                                     wire::Leap announced) {
  server::ServerState s{.leap = announced,
                        .synchronised = true,
                        .stratum = static_cast<std::uint8_t>(model_.stratum),
                        .precision = kPrecision,
                        .refid = wire::refid_of("GPS\0"),
                        .root_delay_s = model_.root_delay_s,
                        .root_dispersion_s = model_.root_dispersion_s,
                        .own_clock = true};
  double offset_s = 0;
  for (const Lie& lie : lies_) {
    if (!lie.when.contains(at_s)) continue;
    offset_s += offset_of(lie, at_s, random_);
    if (lie.no_leap) utc = unleapt;
    s.root_delay_s = lie.root_delay_s.value_or(s.root_delay_s);
    s.root_dispersion_s = lie.root_dispersion_s.value_or(s.root_dispersion_s);
  }
  s.map.map.real = utc + std::chrono::nanoseconds(std::llround(offset_s * 1e9));
  s.reftime = NtpTimestamp::from(s.map.map.real - std::chrono::seconds(1));
  return s;
}

std::vector<Octets> Reference::answer(const server::Arrival& request, double at_s, RealTime utc,
                                      RealTime unleapt, wire::Leap announced) {
  const server::ServerState now = state(at_s, utc, unleapt, announced);
  const NtpTimestamp stamp = NtpTimestamp::from(now.map.map.real);
  auto reply = server::respond(request, server::describe_clock(now, now.at), {}, stamp);
  if (!reply) return {};
  std::array<std::byte, wire::kHeaderSize> bytes{};
  server::seal(*reply, request, stamp, noise_, bytes);
  const Octets honest(bytes.begin(), bytes.end());
  Octets said = honest;
  std::vector<Octets> out;
  for (const Lie& lie : lies_) {
    if (!lie.when.contains(at_s)) continue;
    if (lie.silent) return {};
    for (Octets& forged : forgeries(honest, lie)) out.push_back(std::move(forged));
    spoil(said, lie);
  }
  out.push_back(std::move(said));
  before_ = honest;
  return out;
}

void Reference::spoil(Octets& reply, const Lie& lie) {
  if (lie.leap) {
    const auto bits = static_cast<std::byte>(static_cast<unsigned>(*lie.leap) << 6);
    reply[0] = (reply[0] & std::byte{0x3f}) | bits;
  }
  if (lie.stratum) reply[1] = static_cast<std::byte>(*lie.stratum);
  if (!lie.kiss.empty()) {
    reply[0] |= std::byte{0xc0};
    reply[1] = std::byte{0};
    for (std::size_t i = 0; i < 4; ++i) reply[12 + i] = static_cast<std::byte>(lie.kiss[i]);
  }
  if (lie.garbage > 0 && random_.chance(lie.garbage)) {
    reply.resize(random_.next() % 100);
    for (auto& octet : reply) octet = static_cast<std::byte>(random_.next());
  }
}

// By somebody who knows addresses and ports but not the nonce: origin zero, guessed, or an old one.
std::vector<Octets> Reference::forgeries(const Octets& reply, const Lie& lie) {
  std::vector<Octets> out;
  for (int i = 0; i < lie.forged; ++i) {
    const bool old = i % 3 == 2 && !before_.empty();
    Octets forged = old ? before_ : reply;
    for (std::size_t at = kOrigin; at < kOrigin + 8 && !old; ++at) {
      forged[at] = i % 3 == 0 ? std::byte{0} : static_cast<std::byte>(random_.next());
    }
    forged[kReceive + 3] ^= std::byte{0x40};  // by more than a minute
    forged[kTransmit + 3] ^= std::byte{0x40};
    out.push_back(std::move(forged));
  }
  return out;
}

}  // namespace ntp::sim

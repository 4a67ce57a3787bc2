#include "ke/client_message.h"

#include <algorithm>

#include "base/bytes.h"
#include "ke/codec.h"
#include "nts/ke_client.h"

namespace ntp::ke {
namespace {

constexpr std::uint32_t kMagic = 0x6e6b6301;  // "nkc" and the version of what follows
constexpr std::size_t kLongestSubject = 200;
static_assert(nts::kCookiesKept * (nts::kMaxForeignCookie + 2) + 2 * crypto::kMaxAeadKeySize +
                  nts::kMaxServerName + kLongestSubject + 64 <=
              kClientMessageSize);
static_assert(kLongestHost + kLongestWhy + 64 <= kClientMessageSize);

enum class Kind : std::uint8_t { wish, established, not_established };

void put_octets(ByteWriter& out, std::span<const std::byte> octets) {
  for (const std::byte octet : octets) out.write(std::to_integer<std::uint8_t>(octet));
}

void put(ByteWriter& out, const Wish& m) {
  out.write(static_cast<std::uint8_t>(Kind::wish));
  out.write(m.number);
  out.write(static_cast<std::uint8_t>(m.server.address.is_v4() ? 4 : 6));
  for (const std::uint8_t octet : m.server.address.octets) out.write(octet);
  out.write(m.server.port);
  out.write(m.server.scope);
  put_text(out, m.name, kLongestHost);
  out.write(m.roots);
  put_time(out, m.times.now);
  out.write(static_cast<std::uint8_t>(m.times.tolerate_early));
  out.write(static_cast<std::uint8_t>(m.times.tolerate_expired));
}

void put(ByteWriter& out, const nts::Established& m) {
  out.write(static_cast<std::uint16_t>(m.keys.aead));
  put_octets(out, m.keys.c2s.view());
  put_octets(out, m.keys.s2c.view());
  out.write(static_cast<std::uint8_t>(m.cookies.size()));
  for (const nts::Cookie& cookie : m.cookies) {
    out.write(static_cast<std::uint16_t>(cookie.size()));
    put_octets(out, cookie);
  }
  put_text(out, m.server, nts::kMaxServerName);
  out.write(m.port.value_or(0));
  put_time(out, m.valid_from);
  put_time(out, m.valid_until);
  put_text(out, m.subject, kLongestSubject);
}

void put(ByteWriter& out, const Answered& m) {
  out.write(static_cast<std::uint8_t>(m.outcome ? Kind::established : Kind::not_established));
  out.write(m.number);
  if (m.outcome) return put(out, *m.outcome);
  out.write(static_cast<std::uint8_t>(m.outcome.error().trouble));
  put_text(out, m.outcome.error().why, kLongestWhy);
}

std::optional<ClientMessage> get_wish(ByteReader& in) {
  Wish m;
  m.number = in.read<std::uint32_t>();
  const auto family = in.read<std::uint8_t>();
  m.server.address.family = family == 4 ? IpAddress::Family::v4 : IpAddress::Family::v6;
  for (std::uint8_t& octet : m.server.address.octets) octet = in.read<std::uint8_t>();
  m.server.port = in.read<std::uint16_t>();
  m.server.scope = in.read<std::uint32_t>();
  auto name = get_text(in, kLongestHost);
  m.roots = in.read<std::uint16_t>();
  m.times.now = get_time(in);
  const auto early = in.read<std::uint8_t>();
  const auto expired = in.read<std::uint8_t>();
  const bool good = in.ok() && (family == 4 || family == 6) && name && !name->empty() &&
                    m.server.port != 0 && early <= 1 && expired <= 1;
  if (!good) return std::nullopt;
  m.name = std::move(*name);
  m.times.tolerate_early = early == 1;
  m.times.tolerate_expired = expired == 1;
  return m;
}

bool get_cookies(ByteReader& in, std::vector<nts::Cookie>& cookies) {
  const std::size_t count = in.read<std::uint8_t>();
  if (count == 0 || count > nts::kCookiesKept) return false;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t size = in.read<std::uint16_t>();
    if (size == 0 || size > nts::kMaxForeignCookie || size % 4 != 0) return false;
    const auto octets = in.take(size);
    cookies.emplace_back(octets.begin(), octets.end());
  }
  return in.ok();
}

std::optional<ClientMessage> get_established(ByteReader& in) {
  Answered m{.number = in.read<std::uint32_t>()};
  nts::Established out;
  out.keys.aead = static_cast<crypto::AeadId>(in.read<std::uint16_t>());
  if (!crypto::is_supported(out.keys.aead)) return std::nullopt;
  const std::size_t size = crypto::key_size(out.keys.aead);
  out.keys.c2s.assign(in.take(size));
  out.keys.s2c.assign(in.take(size));
  if (!in.ok() || !get_cookies(in, out.cookies)) return std::nullopt;
  auto server = get_text(in, nts::kMaxServerName);
  const auto port = in.read<std::uint16_t>();
  out.valid_from = get_time(in);
  out.valid_until = get_time(in);
  auto subject = get_text(in, kLongestSubject);
  if (!in.ok() || !server || !subject) return std::nullopt;
  out.server = std::move(*server);
  out.subject = std::move(*subject);
  if (port != 0) out.port = port;
  m.outcome = std::move(out);
  return m;
}

std::optional<ClientMessage> get_not_established(ByteReader& in) {
  const auto number = in.read<std::uint32_t>();
  const auto trouble = in.read<std::uint8_t>();
  auto why = get_text(in, kLongestWhy);
  if (trouble >= nts::kKeTroubles || !why) return std::nullopt;
  return Answered{.number = number,
                  .outcome = std::unexpected(nts::NotEstablished{
                      .trouble = static_cast<nts::KeTrouble>(trouble), .why = std::move(*why)})};
}

std::optional<ClientMessage> get(std::uint8_t kind, ByteReader& in) {
  switch (static_cast<Kind>(kind)) {
    case Kind::wish:
      return get_wish(in);
    case Kind::established:
      return get_established(in);
    case Kind::not_established:
      return get_not_established(in);
  }
  return std::nullopt;
}

}  // namespace

ClientMessageBytes encode_client(const ClientMessage& message) {
  ClientMessageBytes bytes{};
  ByteWriter out(bytes);
  out.write(kMagic);
  std::visit([&out](const auto& m) { put(out, m); }, message);
  return bytes;
}

std::optional<ClientMessage> decode_client(std::span<const std::byte> bytes) {
  if (bytes.size() != kClientMessageSize) return std::nullopt;
  ByteReader in(bytes);
  if (in.read<std::uint32_t>() != kMagic) return std::nullopt;
  auto message = get(in.read<std::uint8_t>(), in);
  if (!message) return std::nullopt;
  const auto rest = in.take(in.remaining());
  const auto is_zero = [](std::byte octet) { return octet == std::byte{0}; };
  if (!std::ranges::all_of(rest, is_zero)) return std::nullopt;
  return message;
}

}  // namespace ntp::ke

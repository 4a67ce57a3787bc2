#include "server/authentication.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"

namespace ntp::server {
namespace {

constexpr std::size_t kKeyIdSize = 4;

std::expected<void, Drop> prove_by_mac(std::span<const std::byte> bytes, const wire::Packet& packet,
                                       Authentication* by) noexcept {
  if (packet.mac.size() == kKeyIdSize) return std::unexpected(Drop::malformed_mac);  // crypto-NAK
  const auto id = ByteReader(packet.mac).read<std::uint32_t>();
  const crypto::MacKey* key =
      by != nullptr && by->secrets.symmetric != nullptr ? by->secrets.symmetric->find(id) : nullptr;
  if (key == nullptr) return std::unexpected(Drop::unknown_key);
  const auto covered = bytes.first(bytes.size() - packet.mac.size());
  if (!key->verify(covered, packet.mac.subspan(kKeyIdSize))) {
    return std::unexpected(Drop::bad_mac);
  }
  by->seal.set_mac(id, *key, packet.mac.size() - kKeyIdSize);
  return {};
}

std::expected<void, Drop> prove_by_nts(std::span<const std::byte> bytes, const wire::Packet& packet,
                                       Authentication* by) noexcept {
  if (packet.mac.size() == kKeyIdSize) return std::unexpected(Drop::malformed_mac);
  if (by == nullptr || by->secrets.cookies == nullptr) {
    return std::unexpected(Drop::nts_disabled);
  }
  const nts::CookieKeys& cookies = *by->secrets.cookies;
  const auto request = nts::parse_nts_request(bytes, packet);
  if (!request) return std::unexpected(Drop::malformed_nts);
  const auto opened = nts::prove(*request, cookies);
  if (!opened && opened.error() == nts::Refusal::malformed) {
    return std::unexpected(Drop::malformed_nts);
  }
  nts::NtsReply& reply = by->seal.nts();
  const bool fits =
      opened ? reply.prepare(*request, *opened, cookies, by->random) : reply.prepare_nak(*request);
  if (!fits) return std::unexpected(Drop::malformed_nts);
  by->seal.set_nts(opened ? Seal::Kind::nts : Seal::Kind::nts_nak);
  return {};
}

}  // namespace

void Seal::forget() noexcept {
  if (nts_.has_key()) nts_.clear();
  set_none();
}

void Seal::set_none() noexcept {
  kind_ = Kind::none;
  size_ = wire::kHeaderSize;
}

void Seal::set_mac(std::uint32_t id, const crypto::MacKey& key, std::size_t digest_size) noexcept {
  kind_ = Kind::mac;
  size_ = wire::kHeaderSize + kKeyIdSize + digest_size;
  digest_size_ = digest_size;
  key_id_ = id;
  key_ = &key;
}

void Seal::set_nts(Kind kind) noexcept {
  kind_ = kind;
  size_ = nts_.size();
}

void Seal::apply(std::span<std::byte> out) const noexcept {
  NTP_CHECK(out.size() == size_);
  if (kind_ == Kind::none) return;
  if (kind_ != Kind::mac) return nts_.seal(out);
  const auto message = out.first(wire::kHeaderSize);
  const crypto::MacBytes mac = key_->compute(message);
  const auto tail = out.subspan(wire::kHeaderSize);
  ByteWriter(tail).write(key_id_);
  std::ranges::copy(std::span(mac).first(digest_size_), tail.subspan(kKeyIdSize).begin());
}

std::optional<wire::Packet> parse_uncut_mac(std::span<const std::byte> bytes,
                                            const Authentication* by) noexcept {
  if (by == nullptr || by->secrets.symmetric == nullptr) return std::nullopt;
  if (bytes.size() <= wire::kHeaderSize + kKeyIdSize) return std::nullopt;
  const auto mac = bytes.subspan(wire::kHeaderSize);
  const auto* key = by->secrets.symmetric->find(ByteReader(mac).read<std::uint32_t>());
  if (key == nullptr || mac.size() != kKeyIdSize + key->full_size()) return std::nullopt;
  wire::Packet packet{.header = wire::parse_header(bytes.first<wire::kHeaderSize>()), .mac = mac};
  if (packet.header.version != 3) return std::nullopt;
  return packet;
}

std::expected<void, Drop> authenticate(std::span<const std::byte> bytes, const wire::Packet& packet,
                                       Authentication* by) noexcept {
  if (packet.has_nts_field) return prove_by_nts(bytes, packet, by);
  if (!packet.mac.empty()) return prove_by_mac(bytes, packet, by);
  if (by != nullptr) by->seal.set_none();
  return {};
}

}  // namespace ntp::server

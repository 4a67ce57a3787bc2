#include "server/authentication.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/few.h"

namespace ntp::server {
namespace {

constexpr std::size_t kKeyIdSize = 4;
constexpr std::size_t kTogether = 8;  // that are computed side by side

std::optional<Drop> prove_by_mac(const Claim& claim, const Secrets& secrets) noexcept {
  const auto mac = claim.packet->mac;
  const auto id = ByteReader(mac).read<std::uint32_t>();
  const crypto::MacKey* key =
      secrets.symmetric != nullptr ? secrets.symmetric->find(id, claim.client) : nullptr;
  if (key == nullptr) return Drop::unknown_key;
  const auto covered = claim.bytes.first(claim.bytes.size() - mac.size());
  if (!key->verify(covered, mac.subspan(kKeyIdSize))) return Drop::bad_mac;
  claim.seal->set_mac(id, *key, mac.size() - kKeyIdSize);
  return std::nullopt;
}

// Up to kTogether.
class NtsClaims {
 public:
  NtsClaims(const nts::CookieKeys& keys, crypto::RandomStream& random) noexcept
      : keys_(keys), random_(random) {}

  void add(Claim& claim) noexcept {
    const auto request = nts::parse_nts_request(claim.bytes, *claim.packet);
    if (!request) {
      claim.drop = Drop::malformed_nts;
      return;
    }
    claims_.add(&claim);
    exchanges_.add(&requests_.add(*request), &claim.seal->nts());
    if (claims_.is_full()) prove();
  }

  void prove() noexcept {
    nts::NtsReply::prepare(exchanges_.all(), keys_, random_);
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      const nts::Outcome outcome = exchanges_[i].outcome;
      if (outcome == nts::Outcome::none) {
        claims_[i]->drop = Drop::malformed_nts;
      } else {
        claims_[i]->seal->set_nts(outcome == nts::Outcome::time ? Seal::Kind::nts
                                                                : Seal::Kind::nts_nak);
      }
    }
    claims_.clear();
    exchanges_.clear();
    requests_.clear();
  }

 private:
  const nts::CookieKeys& keys_;
  crypto::RandomStream& random_;
  Few<Claim*, kTogether> claims_;
  Few<nts::NtsRequest, kTogether> requests_;
  Few<nts::Exchange, kTogether> exchanges_;
};

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

void Seal::apply(std::span<const Application> seals) noexcept {
  NTP_UNINITIALIZED Few<nts::NtsReply::Sealing, kTogether> of_nts;
  for (const auto& [by, out] : seals) {
    NTP_CHECK(out.size() == by->size_);
    if (by->kind_ == Kind::none) continue;
    if (by->kind_ == Kind::mac) {
      by->apply_mac(out);
      continue;
    }
    of_nts.add(&by->nts_, out);
    if (!of_nts.is_full()) continue;
    nts::NtsReply::seal(of_nts.all());
    of_nts.clear();
  }
  if (of_nts.size() > 0) nts::NtsReply::seal(of_nts.all());
}

void Seal::apply_mac(std::span<std::byte> out) const noexcept {
  const auto message = out.first(wire::kHeaderSize);
  const crypto::MacBytes mac = key_->compute(message);
  const auto tail = out.subspan(wire::kHeaderSize);
  ByteWriter(tail).write(key_id_);
  std::ranges::copy(std::span(mac).first(digest_size_), tail.subspan(kKeyIdSize).begin());
}

std::optional<wire::Packet> parse_uncut_mac(std::span<const std::byte> bytes,
                                            const Secrets& secrets) noexcept {
  if (secrets.symmetric == nullptr) return std::nullopt;
  if (bytes.size() <= wire::kHeaderSize + kKeyIdSize) return std::nullopt;
  const auto mac = bytes.subspan(wire::kHeaderSize);
  const auto* key = secrets.symmetric->find(ByteReader(mac).read<std::uint32_t>());
  if (key == nullptr || mac.size() != kKeyIdSize + key->full_size()) return std::nullopt;
  wire::Packet packet{.header = wire::parse_header(bytes.first<wire::kHeaderSize>()), .mac = mac};
  if (packet.header.version != 3) return std::nullopt;
  return packet;
}

void authenticate(std::span<Claim> claims, const Secrets& secrets,
                  crypto::RandomStream& random) noexcept {
  NTP_UNINITIALIZED Few<NtsClaims, 1> by_nts;
  if (secrets.cookies != nullptr) by_nts.add(*secrets.cookies, random);
  for (Claim& claim : claims) {
    claim.drop.reset();
    if (!claim.packet->has_nts_field) {
      claim.drop = prove_by_mac(claim, secrets);
    } else if (!by_nts.is_full()) {
      claim.drop = Drop::nts_disabled;
    } else {
      by_nts[0].add(claim);
    }
  }
  if (by_nts.is_full()) by_nts[0].prove();
}

}  // namespace ntp::server

// Who proves who it is, by a symmetric key or by NTS, and what its reply is sealed with. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/ip.h"
#include "crypto/mac.h"
#include "crypto/random_stream.h"
#include "nts/cookie.h"
#include "nts/request.h"
#include "server/drop.h"
#include "server/symmetric_keys.h"
#include "wire/packet.h"

namespace ntp::server {

// The keys in force; null: there are none, and the function is off. Borrowed for as long as a batch
// takes, seals included.
struct Secrets {
  const SymmetricKeys* symmetric = nullptr;
  const nts::CookieKeys* cookies = nullptr;
};

// What follows the header of one reply. Lives with its slot and is used again and again; borrows
// from the secrets and from the request.
class Seal {
 public:
  enum class Kind : std::uint8_t { none, mac, nts, nts_nak };

  Kind kind() const noexcept { return kind_; }
  std::size_t size() const noexcept { return size_; }  // of the whole reply
  // The request was proven to come from who holds the key.
  bool is_proven() const noexcept { return kind_ == Kind::mac || kind_ == Kind::nts; }

  // `out` has by->size() octets and begins with the encoded header; writes the others.
  struct Application {
    const Seal* by = nullptr;
    std::span<std::byte> out{};
  };
  static void apply(std::span<const Application> seals) noexcept;

  // Once the reply is written, or there will be none: the session's key is nobody's any more.
  void forget() noexcept;

  void set_none() noexcept;
  void set_mac(std::uint32_t id, const crypto::MacKey& key, std::size_t digest_size) noexcept;
  nts::NtsReply& nts() noexcept { return nts_; }
  void set_nts(Kind kind) noexcept;

 private:
  void apply_mac(std::span<std::byte> out) const noexcept;

  Kind kind_ = Kind::none;
  std::size_t size_ = wire::kHeaderSize;
  std::uint32_t key_id_ = 0;
  const crypto::MacKey* key_ = nullptr;
  std::size_t digest_size_ = 0;
  nts::NtsReply nts_;
};

// What respond() needs to know of keys, and where it puts the seal. All of it is the worker's.
struct Authentication {
  Secrets secrets{};
  crypto::RandomStream& random;
  Seal& seal;
};

// chrony asks in version 3 with the uncut digest of a SHA-2 key, 36, 52 or 68 octets of MAC, which
// parse_packet() takes for extension fields. Nothing where it is not that, with a key that we have.
std::optional<wire::Packet> parse_uncut_mac(std::span<const std::byte> bytes,
                                            const Secrets& secrets) noexcept;

// A request that carries a MAC or a field of NTS, and no crypto-NAK. The seal's kind is what the
// reply is sealed with, where there is one.
struct Claim {
  std::span<const std::byte> bytes{};
  const wire::Packet* packet = nullptr;
  IpAddress client{};
  Seal* seal = nullptr;
  std::optional<Drop> drop{};  // why there is none
};

// G7, G8: a request with a MAC or any field of NTS gets a reply of its kind or silence. Those with
// NTS are proven side by side.
void authenticate(std::span<Claim> claims, const Secrets& secrets,
                  crypto::RandomStream& random) noexcept;

}  // namespace ntp::server

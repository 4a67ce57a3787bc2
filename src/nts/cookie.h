// Cookies: the session's keys, sealed by the server and kept by the client, so that the server need
// remember nobody (RFC 8915 section 6).
//
//   epoch (4, in clear) | nonce (16) | AES-SIV-CMAC-256 { aead id (2), zero (2), C2S, S2C }
//
// The epoch is authenticated too. A cookie of AEAD 15 has 104 octets, one of AEAD 30 has 72: one
// length for each algorithm, a multiple of four.
//
// The key of an epoch is HKDF-SHA256(secret, epoch): servers with the same secret understand one
// another's cookies without a word between them. There is no forward secrecy: whoever has the
// secret opens all cookies that were ever made with it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crypto/random_stream.h"
#include "crypto/secret.h"
#include "nts/session.h"

namespace ntp::nts {

inline constexpr std::size_t kCookieKeySize = 32;
inline constexpr std::size_t kMaxCookieSize = 104;
// Cookies of this many epochs before the present one are still opened, and those of the next one:
// a neighbour's clock may be ahead.
inline constexpr std::uint32_t kEpochsBack = 7;
inline constexpr std::uint32_t kEpochsAhead = 1;
// What a shared secret must have at least.
inline constexpr std::size_t kMinSecretSize = 32;
inline constexpr std::size_t kMaxSecretSize = 256;
using Secret = crypto::SecretBytes<kMaxSecretSize>;

std::size_t cookie_size(crypto::AeadId aead) noexcept;

// What is given to the process of key establishment: enough to seal, for one epoch.
struct CookieKey {
  std::uint32_t epoch = 0;
  crypto::SecretBytes<kCookieKeySize> key{};
};

CookieKey derive_cookie_key(std::span<const std::byte> secret, std::uint32_t epoch) noexcept;

// Seconds since 1970 (of the served clock) divided by the time between rotations.
std::uint32_t epoch_at(std::chrono::seconds since_1970, std::chrono::seconds rotation) noexcept;

// One cookie key, ready for use. Immutable, no call allocates.
class CookieSealer {
 public:
  explicit CookieSealer(const CookieKey& key) noexcept;

  std::uint32_t epoch() const noexcept { return epoch_; }

  // out.size() == cookie_size(keys->aead); the keys are usable.
  struct Order {
    const CookieSealer* by = nullptr;
    const SessionKeys* keys = nullptr;
    std::span<std::byte> out{};
  };
  static void seal(std::span<const Order> orders, crypto::RandomStream& random) noexcept;
  void seal(const SessionKeys& keys, crypto::RandomStream& random,
            std::span<std::byte> out) const noexcept;

  // Not good, or false: damaged or not ours; the keys are then what nobody may use.
  struct Trial {
    const CookieSealer* by = nullptr;
    std::span<const std::byte> cookie{};
    SessionKeys* keys = nullptr;
    bool good = false;
  };
  static void open(std::span<Trial> trials) noexcept;
  [[nodiscard]] bool open(std::span<const std::byte> cookie, SessionKeys& keys) const noexcept;

 private:
  static void open_some(std::span<Trial> trials) noexcept;

  std::uint32_t epoch_;
  crypto::Aead aead_;
};

// All keys that a server accepts. Immutable: made anew when an epoch ends or a secret changes, and
// published to the workers as a pointer to const. No call but the constructor allocates.
class CookieKeys {
 public:
  struct Options {
    std::span<const std::byte> secret{};
    std::span<const std::byte> previous{};  // the secret before; may be empty
    // Of the served clock. Nothing: this server does not know the time. It then opens cookies of
    // any epoch from `oldest` on and seals in the epoch of the cookie that it opened.
    std::optional<std::uint32_t> epoch{};
    std::uint32_t oldest = 0;  // no honest cookie is older: of the day when this program was built
  };

  explicit CookieKeys(const Options& options);

  // A cookie that was opened.
  class Opened {
   public:
    Opened() noexcept {}
    const SessionKeys& keys() const noexcept { return keys_; }
    // What its successors are sealed with, if not with current(): where the time is not known.
    const std::optional<CookieKey>& own_key() const noexcept { return own_key_; }

   private:
    friend CookieKeys;
    SessionKeys keys_;
    std::optional<CookieKey> own_key_;
  };

  // Nothing: damaged, too old, or not ours.
  struct Opening {
    std::span<const std::byte> cookie{};
    std::optional<Opened>* to = nullptr;
  };
  void open(std::span<const Opening> openings) const noexcept;
  std::optional<Opened> open(std::span<const std::byte> cookie) const noexcept;

  // What new cookies are sealed with where no cookie was opened (key establishment).
  const CookieSealer& current() const noexcept { return sealers_.front(); }
  CookieKey current_key() const noexcept;

 private:
  static void open_some(std::span<const Opening> openings,
                        std::span<const CookieSealer> sealers) noexcept;
  void derive_and_open(const Opening& opening) const noexcept;

  Secret secret_;
  Secret previous_;
  bool knows_time_;
  std::uint32_t oldest_;
  std::vector<CookieSealer> sealers_;  // the present epoch's first
  std::vector<CookieSealer> previous_sealers_;
};

}  // namespace ntp::nts

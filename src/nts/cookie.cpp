#include "nts/cookie.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "crypto/hkdf.h"

namespace ntp::nts {
namespace {

using crypto::Aead;
using crypto::AeadId;

constexpr std::size_t kEpochSize = 4;
constexpr std::size_t kNonceSize = 16;
constexpr std::size_t kIdSize = 4;
constexpr std::size_t kOverhead = kEpochSize + kNonceSize + crypto::kAeadTagSize;
constexpr std::size_t kMaxPlaintext = kIdSize + 2 * crypto::kMaxAeadKeySize;
static_assert(kOverhead + kMaxPlaintext == kMaxCookieSize);

constexpr std::string_view kPurpose = "ntp-server cookie";

std::uint32_t epoch_of(std::span<const std::byte> cookie) noexcept {
  return ByteReader(cookie).read<std::uint32_t>();
}

}  // namespace

std::size_t cookie_size(AeadId aead) noexcept {
  return kOverhead + kIdSize + 2 * crypto::key_size(aead);
}

CookieKey derive_cookie_key(std::span<const std::byte> secret, std::uint32_t epoch) noexcept {
  std::array<std::byte, kPurpose.size() + kEpochSize> info{};
  std::ranges::copy(std::as_bytes(std::span(kPurpose)), info.begin());
  ByteWriter(std::span(info).subspan(kPurpose.size())).write(epoch);
  CookieKey made{.epoch = epoch};
  crypto::hkdf_sha256(secret, {}, info, made.key.resize(kCookieKeySize));
  return made;
}

std::uint32_t epoch_at(std::chrono::seconds since_1970, std::chrono::seconds rotation) noexcept {
  NTP_CHECK(rotation.count() > 0);
  const auto epoch = std::max<std::int64_t>(0, since_1970 / rotation);
  return static_cast<std::uint32_t>(
      std::min<std::int64_t>(epoch, std::numeric_limits<std::uint32_t>::max()));
}

CookieSealer::CookieSealer(const CookieKey& key) noexcept
    : epoch_(key.epoch), aead_(*Aead::make(AeadId::aes_siv_cmac_256, key.key.view())) {}

void CookieSealer::seal(const SessionKeys& keys, crypto::RandomStream& random,
                        std::span<std::byte> out) const noexcept {
  NTP_CHECK(keys.is_usable() && out.size() == cookie_size(keys.aead));
  crypto::SecretBytes<kMaxPlaintext> kept;
  const auto plaintext = kept.resize(out.size() - kOverhead);
  ByteWriter writer(plaintext);
  writer.write(static_cast<std::uint16_t>(keys.aead));
  writer.write(std::uint16_t{0});
  std::ranges::copy(keys.c2s.view(), plaintext.subspan(kIdSize).begin());
  std::ranges::copy(keys.s2c.view(), plaintext.subspan(kIdSize + keys.c2s.size()).begin());
  const auto epoch = out.first(kEpochSize);
  ByteWriter(epoch).write(epoch_);
  const auto nonce = out.subspan(kEpochSize, kNonceSize);
  random.fill(nonce);
  aead_.seal(nonce, epoch, plaintext, out.subspan(kEpochSize + kNonceSize));
}

bool CookieSealer::open(std::span<const std::byte> cookie, SessionKeys& keys) const noexcept {
  if (cookie.size() < kOverhead + kIdSize || cookie.size() > kMaxCookieSize) return false;
  crypto::SecretBytes<kMaxPlaintext> kept;
  const auto plaintext = kept.resize(cookie.size() - kOverhead);
  if (!aead_.open(cookie.subspan(kEpochSize, kNonceSize), cookie.first(kEpochSize),
                  cookie.subspan(kEpochSize + kNonceSize), plaintext)) {
    return false;
  }
  keys.aead = static_cast<AeadId>(ByteReader(plaintext).read<std::uint16_t>());
  const std::size_t size = crypto::key_size(keys.aead);
  if (plaintext.size() != kIdSize + 2 * size) return false;
  keys.c2s.assign(plaintext.subspan(kIdSize, size));
  keys.s2c.assign(plaintext.subspan(kIdSize + size));
  return keys.is_usable();  // not so of a neighbour with a newer nettle
}

CookieKeys::CookieKeys(const Options& options)
    : secret_(options.secret),
      previous_(options.previous),
      knows_time_(options.epoch.has_value()),
      oldest_(options.oldest) {
  const std::uint32_t now = options.epoch.value_or(options.oldest);
  sealers_.reserve(std::size_t{2} * (kEpochsBack + 1 + kEpochsAhead));
  sealers_.emplace_back(derive_cookie_key(secret_.view(), now));
  if (!knows_time_) return;
  const std::uint32_t first = now - std::min(now, kEpochsBack);
  const std::uint32_t last =
      now + std::min(kEpochsAhead, std::numeric_limits<std::uint32_t>::max() - now);
  for (std::uint32_t epoch = first; epoch - first <= last - first; ++epoch) {
    if (epoch != now) sealers_.emplace_back(derive_cookie_key(secret_.view(), epoch));
    if (!previous_.empty()) sealers_.emplace_back(derive_cookie_key(previous_.view(), epoch));
    if (epoch == last) break;
  }
}

CookieKey CookieKeys::current_key() const noexcept {
  return derive_cookie_key(secret_.view(), current().epoch());
}

std::optional<CookieKeys::Opened> CookieKeys::open(
    std::span<const std::byte> cookie) const noexcept {
  if (cookie.size() < kOverhead) return std::nullopt;
  const std::uint32_t epoch = epoch_of(cookie);
  if (!knows_time_) return derive_and_open(epoch, cookie);
  Opened opened;
  for (const CookieSealer& sealer : sealers_) {
    if (sealer.epoch() == epoch && sealer.open(cookie, opened.keys_)) return opened;
  }
  return std::nullopt;
}

std::optional<CookieKeys::Opened> CookieKeys::derive_and_open(
    std::uint32_t epoch, std::span<const std::byte> cookie) const noexcept {
  if (epoch < oldest_) return std::nullopt;
  for (const Secret* secret : {&secret_, &previous_}) {
    if (secret->empty()) continue;
    const CookieSealer sealer(derive_cookie_key(secret->view(), epoch));
    Opened opened;
    if (sealer.open(cookie, opened.keys_)) {
      opened.own_.emplace(derive_cookie_key(secret_.view(), epoch));
      return opened;
    }
  }
  return std::nullopt;
}

}  // namespace ntp::nts

#include "nts/cookie.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "base/bytes.h"
#include "base/check.h"
#include "base/few.h"
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

constexpr std::size_t kTogether = 8;  // cookies that are computed side by side

constexpr std::string_view kPurpose = "ntp-server cookie";

std::uint32_t epoch_of(std::span<const std::byte> cookie) noexcept {
  return ByteReader(cookie).read<std::uint32_t>();
}

// What is inside of a cookie. False where it is of a neighbour with a newer nettle.
bool read_keys(std::span<const std::byte> plaintext, SessionKeys& keys) noexcept {
  keys.aead = static_cast<AeadId>(ByteReader(plaintext).read<std::uint16_t>());
  const std::size_t size = crypto::key_size(keys.aead);
  if (plaintext.size() != kIdSize + 2 * size) return false;
  keys.c2s.assign(plaintext.subspan(kIdSize, size));
  keys.s2c.assign(plaintext.subspan(kIdSize + size));
  return keys.is_usable();
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

void CookieSealer::seal(std::span<const Order> orders, crypto::RandomStream& random) noexcept {
  NTP_UNINITIALIZED Few<crypto::SecretBytes<kMaxPlaintext>, kTogether> kept;
  NTP_UNINITIALIZED Few<crypto::AeadJob, kTogether> jobs;
  for (const Order& order : orders) {
    const SessionKeys& keys = *order.keys;
    NTP_CHECK(keys.is_usable() && order.out.size() == cookie_size(keys.aead));
    const auto plaintext = kept.add().resize(order.out.size() - kOverhead);
    ByteWriter writer(plaintext);
    writer.write(static_cast<std::uint16_t>(keys.aead));
    writer.write(std::uint16_t{0});
    copy_octets(keys.c2s.view(), plaintext.subspan(kIdSize));
    copy_octets(keys.s2c.view(), plaintext.subspan(kIdSize + keys.c2s.size()));
    const auto epoch = order.out.first(kEpochSize);
    ByteWriter(epoch).write(order.by->epoch_);
    const auto nonce = order.out.subspan(kEpochSize, kNonceSize);
    random.fill(nonce);
    jobs.add(&order.by->aead_, nonce, epoch, plaintext, order.out.subspan(kEpochSize + kNonceSize));
    if (!jobs.is_full()) continue;
    Aead::seal(jobs.all());
    jobs.clear();
    kept.clear();
  }
  Aead::seal(jobs.all());
}

void CookieSealer::seal(const SessionKeys& keys, crypto::RandomStream& random,
                        std::span<std::byte> out) const noexcept {
  seal(std::array{Order{.by = this, .keys = &keys, .out = out}}, random);
}

void CookieSealer::open(std::span<Trial> trials) noexcept {
  while (!trials.empty()) {
    const auto some = trials.first(std::min(trials.size(), kTogether));
    open_some(some);
    trials = trials.subspan(some.size());
  }
}

bool CookieSealer::open(std::span<const std::byte> cookie, SessionKeys& keys) const noexcept {
  std::array trial{Trial{.by = this, .cookie = cookie, .keys = &keys}};
  open(trial);
  return trial[0].good;
}

void CookieSealer::open_some(std::span<Trial> trials) noexcept {
  NTP_UNINITIALIZED Few<crypto::SecretBytes<kMaxPlaintext>, kTogether> kept;
  NTP_UNINITIALIZED Few<crypto::AeadJob, kTogether> jobs;
  NTP_UNINITIALIZED Few<Trial*, kTogether> of;
  for (Trial& trial : trials) {
    const auto cookie = trial.cookie;
    trial.good = false;
    if (cookie.size() < kOverhead + kIdSize || cookie.size() > kMaxCookieSize) continue;
    of.add(&trial);
    jobs.add(&trial.by->aead_, cookie.subspan(kEpochSize, kNonceSize), cookie.first(kEpochSize),
             cookie.subspan(kEpochSize + kNonceSize), kept.add().resize(cookie.size() - kOverhead));
  }
  Aead::open(jobs.all());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    of[i]->good = jobs[i].good && read_keys(jobs[i].out, *of[i]->keys);
  }
}

CookieKeys::CookieKeys(const Options& options)
    : secret_(options.secret),
      previous_(options.previous),
      knows_time_(options.epoch.has_value()),
      oldest_(options.oldest) {
  const std::uint32_t now = options.epoch.value_or(options.oldest);
  sealers_.reserve(kEpochsBack + 1 + kEpochsAhead);
  sealers_.emplace_back(derive_cookie_key(secret_.view(), now));
  if (!knows_time_) return;
  const std::uint32_t first = now - std::min(now, kEpochsBack);
  const std::uint32_t last =
      now + std::min(kEpochsAhead, std::numeric_limits<std::uint32_t>::max() - now);
  for (std::uint32_t epoch = first; epoch - first <= last - first; ++epoch) {
    if (epoch != now) sealers_.emplace_back(derive_cookie_key(secret_.view(), epoch));
    if (!previous_.empty()) {
      previous_sealers_.emplace_back(derive_cookie_key(previous_.view(), epoch));
    }
    if (epoch == last) break;
  }
}

CookieKey CookieKeys::current_key() const noexcept {
  return derive_cookie_key(secret_.view(), current().epoch());
}

// By the secret in force first; what that does not open, by the one before.
void CookieKeys::open(std::span<const Opening> openings) const noexcept {
  for (const Opening& opening : openings) opening.to->reset();
  while (!openings.empty()) {
    const auto some = openings.first(std::min(openings.size(), kTogether));
    if (knows_time_) {
      open_some(some, sealers_);
      if (!previous_sealers_.empty()) open_some(some, previous_sealers_);
    } else {
      for (const Opening& opening : some) derive_and_open(opening);
    }
    openings = openings.subspan(some.size());
  }
}

// Those that are not open yet.
void CookieKeys::open_some(std::span<const Opening> openings,
                           std::span<const CookieSealer> sealers) noexcept {
  NTP_UNINITIALIZED Few<CookieSealer::Trial, kTogether> trials;
  NTP_UNINITIALIZED Few<std::optional<Opened>*, kTogether> of;
  for (const Opening& opening : openings) {
    if (opening.to->has_value() || opening.cookie.size() < kOverhead) continue;
    const auto by = std::ranges::find(sealers, epoch_of(opening.cookie), &CookieSealer::epoch);
    if (by == sealers.end()) continue;
    of.add(opening.to);
    trials.add(&*by, opening.cookie, &opening.to->emplace().keys_);
  }
  CookieSealer::open(trials.all());
  for (std::size_t i = 0; i < trials.size(); ++i) {
    if (!trials[i].good) of[i]->reset();
  }
}

void CookieKeys::derive_and_open(const Opening& opening) const noexcept {
  if (opening.cookie.size() < kOverhead) return;
  const std::uint32_t epoch = epoch_of(opening.cookie);
  if (epoch < oldest_) return;
  for (const Secret* secret : {&secret_, &previous_}) {
    if (secret->empty()) continue;
    const std::array sealer{CookieSealer(derive_cookie_key(secret->view(), epoch))};
    open_some(std::span(&opening, 1), sealer);
    if (!opening.to->has_value()) continue;
    (*opening.to)->own_key_ = derive_cookie_key(secret_.view(), epoch);
    return;
  }
}

std::optional<CookieKeys::Opened> CookieKeys::open(
    std::span<const std::byte> cookie) const noexcept {
  std::optional<Opened> opened;
  open(std::array{Opening{.cookie = cookie, .to = &opened}});
  return opened;
}

}  // namespace ntp::nts

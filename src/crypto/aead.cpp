#include "crypto/aead.h"

#if __has_include(<nettle/siv-gcm.h>)
#include <nettle/siv-gcm.h>
#define NTP_HAS_GCM_SIV 1
#else
#define NTP_HAS_GCM_SIV 0
#endif

#include "base/check.h"
#include "crypto/octets.h"

namespace ntp::crypto {
namespace {

constexpr bool kHasGcmSiv = NTP_HAS_GCM_SIV != 0;
static_assert(SIV_DIGEST_SIZE == kAeadTagSize);
static_assert(SIV_CMAC_AES128_KEY_SIZE == kMaxAeadKeySize);

// Nettle reads nothing through it, but some of its functions must not be given a null pointer.
constexpr std::uint8_t kNothing[1] = {};
const std::uint8_t* some(std::span<const std::byte> bytes) noexcept {
  return bytes.empty() ? kNothing : raw(bytes);
}

}  // namespace

std::string_view name(AeadId id) noexcept {
  return id == AeadId::aes_128_gcm_siv ? "AES-128-GCM-SIV" : "AES-SIV-CMAC-256";
}

bool is_supported(AeadId id) noexcept {
  return id == AeadId::aes_siv_cmac_256 || (kHasGcmSiv && id == AeadId::aes_128_gcm_siv);
}

std::size_t key_size(AeadId id) noexcept { return id == AeadId::aes_128_gcm_siv ? 16 : 32; }

std::size_t nonce_size(AeadId id) noexcept { return id == AeadId::aes_128_gcm_siv ? 12 : 16; }

bool is_nonce_size(AeadId id, std::size_t size) noexcept {
  return id == AeadId::aes_128_gcm_siv ? size == 12 : size >= SIV_MIN_NONCE_SIZE;
}

std::optional<Aead> Aead::make(AeadId id, std::span<const std::byte> key, Means means) noexcept {
  if (!is_supported(id) || key.size() != key_size(id)) return std::nullopt;
  const bool is_siv = id == AeadId::aes_siv_cmac_256;
  // In its place: a schedule is too large to be carried about.
  std::optional<Aead> made;
  Aead& aead =
      made.emplace(Passkey{}, id, is_siv && means == Means::fastest && has_aes_instructions());
  if (aead.by_processor_) {
    siv_set_key(aead.schedule_.siv, key.first<kMaxAeadKeySize>());
  } else if (is_siv) {
    siv_cmac_aes128_set_key(&aead.schedule_.siv_cmac, raw(key));
  } else {
    aes128_set_encrypt_key(&aead.schedule_.gcm_siv, raw(key));
  }
  return made;
}

void Aead::seal(std::span<const std::byte> nonce, std::span<const std::byte> associated,
                std::span<const std::byte> plaintext, std::span<std::byte> out) const noexcept {
  NTP_CHECK(is_nonce_size(id_, nonce.size()));
  NTP_CHECK(out.size() == plaintext.size() + kAeadTagSize);
  if (by_processor_) {
    return siv_seal(schedule_.siv, nonce, associated, plaintext, out);
  }
  if (id_ == AeadId::aes_siv_cmac_256) {
    siv_cmac_aes128_encrypt_message(&schedule_.siv_cmac, nonce.size(), raw(nonce),
                                    associated.size(), some(associated), out.size(), raw(out),
                                    some(plaintext));
    return;
  }
#if NTP_HAS_GCM_SIV
  siv_gcm_aes128_encrypt_message(&schedule_.gcm_siv, nonce.size(), raw(nonce), associated.size(),
                                 some(associated), out.size(), raw(out), some(plaintext));
#else
  NTP_CHECK(false);  // make() knows no such key
#endif
}

bool Aead::open(std::span<const std::byte> nonce, std::span<const std::byte> associated,
                std::span<const std::byte> sealed, std::span<std::byte> out) const noexcept {
  if (!is_nonce_size(id_, nonce.size()) || sealed.size() < kAeadTagSize) return false;
  NTP_CHECK(out.size() == sealed.size() - kAeadTagSize);
  std::uint8_t nowhere[1];
  std::uint8_t* const to = out.empty() ? nowhere : raw(out);
  int good = 0;
  if (by_processor_) {
    good = siv_open(schedule_.siv, nonce, associated, sealed, out) ? 1 : 0;
  } else if (id_ == AeadId::aes_siv_cmac_256) {
    good = siv_cmac_aes128_decrypt_message(&schedule_.siv_cmac, nonce.size(), raw(nonce),
                                           associated.size(), some(associated), out.size(), to,
                                           raw(sealed));
  } else {
#if NTP_HAS_GCM_SIV
    good = siv_gcm_aes128_decrypt_message(&schedule_.gcm_siv, nonce.size(), raw(nonce),
                                          associated.size(), some(associated), out.size(), to,
                                          raw(sealed));
#endif
  }
  if (good == 0) wipe(out);  // what was not authentic is for nobody to read
  return good != 0;
}

}  // namespace ntp::crypto

#include "crypto/aead.h"

#if __has_include(<nettle/siv-gcm.h>)
#include <nettle/siv-gcm.h>
#define NTP_HAS_GCM_SIV 1
#else
#define NTP_HAS_GCM_SIV 0
#endif

#include <algorithm>
#include <array>
#include <type_traits>

#include "base/check.h"
#include "base/few.h"
#include "crypto/octets.h"

namespace ntp::crypto {
namespace {

constexpr std::size_t kAtOnce = 8;  // keys that are given to the processor
constexpr bool kHasGcmSiv = NTP_HAS_GCM_SIV != 0;
static_assert(SIV_MIN_NONCE_SIZE == 1);
static_assert(SIV_DIGEST_SIZE == kAeadTagSize);
static_assert(SIV_CMAC_AES128_KEY_SIZE == kMaxAeadKeySize);

// Nettle reads nothing through it, but some of its functions must not be given a null pointer.
constexpr std::uint8_t kNothing[1] = {};
const std::uint8_t* some(std::span<const std::byte> bytes) noexcept {
  return bytes.empty() ? kNothing : raw(bytes);
}

// Of something sealed: could it have been?
bool can_be(const AeadJob& job) noexcept {
  return is_nonce_size(job.by->id(), job.nonce.size()) && job.in.size() >= kAeadTagSize;
}

// How many of the first jobs are the processor's.
template <typename Job>
std::size_t for_processor(std::span<Job> jobs) noexcept {
  const auto is_other = [](const AeadJob& job) {
    return !job.by->is_by_processor() || (!std::is_const_v<Job> && !can_be(job));
  };
  return static_cast<std::size_t>(std::ranges::find_if(jobs, is_other) - jobs.begin());
}

}  // namespace

std::string_view name(AeadId id) noexcept {
  return id == AeadId::aes_128_gcm_siv ? "AES-128-GCM-SIV" : "AES-SIV-CMAC-256";
}

bool is_supported(AeadId id) noexcept {
  return id == AeadId::aes_siv_cmac_256 || (kHasGcmSiv && id == AeadId::aes_128_gcm_siv);
}

void Aead::set_key_by_library(std::span<const std::byte> key) noexcept {
  if (id_ == AeadId::aes_siv_cmac_256) {
    siv_cmac_aes128_set_key(&schedule_.siv_cmac, raw(key));
  } else {
    aes128_set_encrypt_key(&schedule_.gcm_siv, raw(key));
  }
}

void Aead::make(std::span<const Order> orders, Means means) noexcept {
  const bool has_instructions = means == Means::fastest && has_aes_instructions();
  NTP_UNINITIALIZED Few<SivKey, kAtOnce> gathered;
  for (const Order& order : orders) {
    order.to->reset();
    if (!is_supported(order.id) || order.key.size() != key_size(order.id)) continue;
    // In its place: a schedule is too large to be carried about.
    Aead& aead = order.to->emplace(Passkey{}, order.id,
                                   has_instructions && order.id == AeadId::aes_siv_cmac_256);
    if (!aead.by_processor_) {
      aead.set_key_by_library(order.key);
      continue;
    }
    gathered.add(&aead.schedule_.siv, order.key.data());
    if (!gathered.is_full()) continue;
    siv_set_keys(gathered.all());
    gathered.clear();
  }
  siv_set_keys(gathered.all());
}

std::optional<Aead> Aead::make(AeadId id, std::span<const std::byte> key, Means means) noexcept {
  NTP_UNINITIALIZED std::optional<Aead> made;
  make(std::array{Order{.id = id, .key = key, .to = &made}}, means);
  return made;
}

void Aead::seal_by_library(const AeadJob& job) noexcept {
  const Schedule& schedule = job.by->schedule_;
  if (job.by->id_ == AeadId::aes_siv_cmac_256) {
    siv_cmac_aes128_encrypt_message(&schedule.siv_cmac, job.nonce.size(), raw(job.nonce),
                                    job.associated.size(), some(job.associated), job.out.size(),
                                    raw(job.out), some(job.in));
    return;
  }
#if NTP_HAS_GCM_SIV
  siv_gcm_aes128_encrypt_message(&schedule.gcm_siv, job.nonce.size(), raw(job.nonce),
                                 job.associated.size(), some(job.associated), job.out.size(),
                                 raw(job.out), some(job.in));
#else
  NTP_CHECK(false);  // make() knows no such key
#endif
}

bool Aead::open_by_library(const AeadJob& job) noexcept {
  const Schedule& schedule = job.by->schedule_;
  std::uint8_t nowhere[1];
  std::uint8_t* const to = job.out.empty() ? nowhere : raw(job.out);
  if (job.by->id_ == AeadId::aes_siv_cmac_256) {
    return siv_cmac_aes128_decrypt_message(&schedule.siv_cmac, job.nonce.size(), raw(job.nonce),
                                           job.associated.size(), some(job.associated),
                                           job.out.size(), to, raw(job.in)) != 0;
  }
#if NTP_HAS_GCM_SIV
  return siv_gcm_aes128_decrypt_message(&schedule.gcm_siv, job.nonce.size(), raw(job.nonce),
                                        job.associated.size(), some(job.associated), job.out.size(),
                                        to, raw(job.in)) != 0;
#else
  return false;
#endif
}

void Aead::seal(std::span<const AeadJob> jobs) noexcept {
  for (const AeadJob& job : jobs) {
    NTP_CHECK(is_nonce_size(job.by->id_, job.nonce.size()));
    NTP_CHECK(job.out.size() == job.in.size() + kAeadTagSize);
  }
  while (!jobs.empty()) {
    const std::size_t together = for_processor(jobs);
    if (together > 0) {
      siv_seal(jobs.first(together));
    } else {
      seal_by_library(jobs.front());
    }
    jobs = jobs.subspan(std::max<std::size_t>(together, 1));
  }
}

void Aead::open(std::span<AeadJob> jobs) noexcept {
  for (const AeadJob& job : jobs) {
    NTP_CHECK(job.in.size() < kAeadTagSize || job.out.size() == job.in.size() - kAeadTagSize);
  }
  while (!jobs.empty()) {
    const std::size_t together = for_processor(jobs);
    if (together > 0) {
      siv_open(jobs.first(together));
    } else {
      jobs.front().good = can_be(jobs.front()) && open_by_library(jobs.front());
    }
    const auto done = jobs.first(std::max<std::size_t>(together, 1));
    for (const AeadJob& job : done) {
      if (!job.good) wipe(job.out);  // what was not authentic is for nobody to read
    }
    jobs = jobs.subspan(done.size());
  }
}

void Aead::seal(std::span<const std::byte> nonce, std::span<const std::byte> associated,
                std::span<const std::byte> plaintext, std::span<std::byte> out) const noexcept {
  seal(std::array{
      AeadJob{.by = this, .nonce = nonce, .associated = associated, .in = plaintext, .out = out}});
}

bool Aead::open(std::span<const std::byte> nonce, std::span<const std::byte> associated,
                std::span<const std::byte> sealed, std::span<std::byte> out) const noexcept {
  std::array job{
      AeadJob{.by = this, .nonce = nonce, .associated = associated, .in = sealed, .out = out}};
  open(job);
  return job[0].good;
}

}  // namespace ntp::crypto

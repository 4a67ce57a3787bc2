// Authenticated encryption for NTS (RFC 5116), by the numbers of the IANA registry of AEADs.
//
// AES-SIV is computed by crypto/aes_siv.h where the processor can, all else by nettle.
// AES-128-GCM-SIV is there when nettle has it (3.9, Debian 13).
#pragma once

#include <nettle/aes.h>
#include <nettle/siv-cmac.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "crypto/aes_siv.h"
#include "crypto/secret.h"

namespace ntp::crypto {

enum class AeadId : std::uint16_t {
  aes_siv_cmac_256 = 15,  // RFC 5297, two AES-128 keys; mandatory for NTS
  aes_128_gcm_siv = 30,   // RFC 8452
};

inline constexpr std::size_t kMaxAeadKeySize = 32;
inline constexpr std::size_t kAeadTagSize = 16;  // of both: how much longer the sealed text is

std::string_view name(AeadId id) noexcept;  // "AES-SIV-CMAC-256"
// False for numbers that this build cannot compute.
bool is_supported(AeadId id) noexcept;
// 32 and 16 octets.
constexpr std::size_t key_size(AeadId id) noexcept {
  return id == AeadId::aes_128_gcm_siv ? 16 : 32;
}
// What we make: 16 and 12 octets.
constexpr std::size_t nonce_size(AeadId id) noexcept {
  return id == AeadId::aes_128_gcm_siv ? 12 : 16;
}
// What we take from others: SIV-CMAC any from 1 octet on, GCM-SIV exactly 12.
constexpr bool is_nonce_size(AeadId id, std::size_t size) noexcept {
  return id == AeadId::aes_128_gcm_siv ? size == 12 : size >= 1;
}

using AeadKey = SecretBytes<kMaxAeadKeySize>;

class Aead;

// What is sealed or opened with one key. Nothing may overlap.
struct AeadJob {
  const Aead* by = nullptr;
  std::span<const std::byte> nonce{};
  std::span<const std::byte> associated{};
  std::span<const std::byte> in{};
  std::span<std::byte> out{};
  bool good = false;  // what Aead::open() found
};

// One key with its schedule. Immutable, so that many threads may use one at a time; no call
// allocates. Wiped at its end. What there is to do for many keys goes in one call: the processor
// then works on several at once, and for eight takes little longer than for one.
class Aead {
  struct Passkey {};

 public:
  enum class Means : std::uint8_t { fastest, library };

  // Nothing when the number is not supported or the key has the wrong size.
  static std::optional<Aead> make(AeadId id, std::span<const std::byte> key,
                                  Means means = Means::fastest) noexcept;
  struct Order {
    AeadId id{};
    std::span<const std::byte> key{};
    std::optional<Aead>* to = nullptr;
  };
  static void make(std::span<const Order> orders, Means means = Means::fastest) noexcept;
  // For make() only.
  Aead(Passkey, AeadId id, bool by_processor) noexcept : id_(id), by_processor_(by_processor) {}
  Aead(const Aead&) noexcept = default;
  Aead& operator=(const Aead&) noexcept = default;
  ~Aead() { wipe_object(schedule_); }

  AeadId id() const noexcept { return id_; }
  // Is it AES-SIV by crypto/aes_siv.h? Then that may see the schedule.
  bool is_by_processor() const noexcept { return by_processor_; }
  const SivSchedule& siv() const noexcept { return schedule_.siv; }

  // out.size() == in.size() + kAeadTagSize; the nonce's size must be one that is_nonce_size allows.
  static void seal(std::span<const AeadJob> jobs) noexcept;
  void seal(std::span<const std::byte> nonce, std::span<const std::byte> associated,
            std::span<const std::byte> plaintext, std::span<std::byte> out) const noexcept;

  // Not good, or false: not sealed with this key, nonce and associated data; out is then zero. Also
  // for sizes that cannot be. out.size() == in.size() - kAeadTagSize, which may be nothing: the
  // requests of NTS clients have an empty plaintext. One job's failure is no other's.
  static void open(std::span<AeadJob> jobs) noexcept;
  [[nodiscard]] bool open(std::span<const std::byte> nonce, std::span<const std::byte> associated,
                          std::span<const std::byte> sealed,
                          std::span<std::byte> out) const noexcept;

 private:
  // Plain data in all cases: may be wiped as octets.
  union Schedule {
    SivSchedule siv;
    siv_cmac_aes128_ctx siv_cmac;
    aes128_ctx gcm_siv;
  };

  void set_key_by_library(std::span<const std::byte> key) noexcept;
  static void seal_by_library(const AeadJob& job) noexcept;
  static bool open_by_library(const AeadJob& job) noexcept;
  AeadId id_;
  bool by_processor_;  // AES-SIV
  Schedule schedule_;
};

}  // namespace ntp::crypto

// Message authentication codes of symmetric keys (RFC 5905 section 7.3, RFC 8573).
//
// A keyed digest is digest(key || message), as ntpd and chrony compute it; what is longer than 20
// octets is cut to 20, since a MAC of version 4 has no more room (RFC 7822 section 7.5.1.2). chrony
// asks in version 3 with keys of SHA-2, and does not cut there.
#pragma once

#include <nettle/cmac.h>
#include <nettle/md5.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "crypto/secret.h"

namespace ntp::crypto {

enum class MacType : std::uint8_t {
  md5,  // broken as a digest; RFC 8573 forbids it where there is a choice
  sha1,
  sha256,
  sha384,
  sha512,
  aes_128_cmac,  // RFC 4493, 8573
  aes_256_cmac,
};

inline constexpr std::size_t kMaxMacSize = 20;
inline constexpr std::size_t kMaxFullMacSize = 64;
inline constexpr std::size_t kMaxMacKeySize = 128;

std::size_t mac_size(MacType type) noexcept;       // 16 or 20
std::size_t full_mac_size(MacType type) noexcept;  // uncut: 16 to 64
// A CMAC key has the cipher's size; a digest takes any from 1 to kMaxMacKeySize octets.
bool is_mac_key_size(MacType type, std::size_t size) noexcept;
std::string_view name(MacType type) noexcept;  // "SHA256", "AES128", as in key files

using MacBytes = std::array<std::byte, kMaxFullMacSize>;

// One key, prepared. Immutable, for many threads at a time; no call allocates. Wiped at its end.
class MacKey {
 public:
  static std::optional<MacKey> make(MacType type, std::span<const std::byte> key) noexcept;
  MacKey(const MacKey&) noexcept = default;
  MacKey& operator=(const MacKey&) noexcept = default;
  ~MacKey() { wipe_object(prepared_); }

  MacType type() const noexcept { return type_; }
  std::size_t size() const noexcept { return mac_size(type_); }
  std::size_t full_size() const noexcept { return full_mac_size(type_); }

  // The first size() octets of the result are the MAC, full_size() the uncut one; behind it is
  // zero.
  MacBytes compute(std::span<const std::byte> message) const noexcept;
  // In constant time. False too where `mac` has neither size() nor full_size() octets; which of
  // them may stand where is for the caller to know.
  [[nodiscard]] bool verify(std::span<const std::byte> message,
                            std::span<const std::byte> mac) const noexcept;

 private:
  // What the function knows after the key was fed to it. Plain data: may be wiped as octets.
  union Prepared {
    md5_ctx md5;
    sha1_ctx sha1;
    sha256_ctx sha256;
    sha512_ctx sha512;  // SHA-384 too
    cmac_aes128_ctx cmac_128;
    cmac_aes256_ctx cmac_256;
  };

  explicit MacKey(MacType type) noexcept : type_(type), prepared_{} {}

  MacType type_;
  Prepared prepared_;
};

}  // namespace ntp::crypto

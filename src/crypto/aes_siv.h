// AES-SIV-CMAC-256 (RFC 5297) by the processor's AES instructions: what a request with NTS costs is
// mostly this, and the library, which computes block by block through a pointer and expands keys
// with tables, takes three times as long (docs/decisions/0018). x86-64 only; elsewhere, and where
// the processor lacks them, the library computes it (crypto/aead.h chooses). Without tables and
// without branches that depend on secrets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ntp::crypto {

// May the other functions be called? Asked of the processor once.
bool has_aes_instructions() noexcept;

// A key, expanded. Plain data.
struct alignas(16) SivSchedule {
  using Block = std::array<std::uint8_t, 16>;

  std::array<Block, 11> mac;  // the round keys of K1
  std::array<Block, 11> ctr;  // of K2
  Block whole;                // CMAC's subkey of a message that ends with a whole block
  Block cut;                  // of any other
  Block start;                // dbl(CMAC(K1, 0))
};

void siv_set_key(SivSchedule& schedule, std::span<const std::byte, 32> key) noexcept;

// out.size() == plaintext.size() + 16. Nothing may overlap. The nonce has at least one octet.
void siv_seal(const SivSchedule& schedule, std::span<const std::byte> nonce,
              std::span<const std::byte> associated, std::span<const std::byte> plaintext,
              std::span<std::byte> out) noexcept;

// sealed.size() == out.size() + 16. False: out holds what nobody may read.
[[nodiscard]] bool siv_open(const SivSchedule& schedule, std::span<const std::byte> nonce,
                            std::span<const std::byte> associated,
                            std::span<const std::byte> sealed, std::span<std::byte> out) noexcept;

}  // namespace ntp::crypto

// AES-SIV-CMAC-256 (RFC 5297) by the processor's AES instructions: what a request with NTS costs is
// mostly this, and the library, which computes block by block through a pointer and expands keys
// with tables, takes many times as long (docs/decisions/0018). x86-64 only; elsewhere, and where
// the processor lacks them, the library computes it (crypto/aead.h chooses). No table and no branch
// depends on a secret; sizes are none.
//
// Every function takes as many jobs as there are, each with its own key: CMAC's blocks wait for
// each other, and the unit can encrypt eight in the time of one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ntp::crypto {

struct AeadJob;

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

struct SivKey {
  SivSchedule* schedule;
  const std::byte* key;  // 32 octets
};
void siv_set_keys(std::span<const SivKey> keys) noexcept;

// Of jobs whose Aead is one by the processor (crypto/aead.h says what must hold of their sizes).
// Not good: `out` holds what nobody may read.
void siv_seal(std::span<const AeadJob> jobs) noexcept;
void siv_open(std::span<AeadJob> jobs) noexcept;

}  // namespace ntp::crypto

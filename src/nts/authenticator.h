// The body of the NTS Authenticator and Encrypted Extension Fields field (RFC 8915 section 5.6):
//
//   nonce length (2) | ciphertext length (2) | nonce, padded | ciphertext, padded | more padding
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "crypto/aead.h"

namespace ntp::nts {

struct Authenticator {
  std::span<const std::byte> nonce{};
  std::span<const std::byte> ciphertext{};
  std::size_t padding = 0;  // what follows the padded ciphertext
};

// Nothing where a length reaches past the body, or there is no nonce, or not even a tag.
std::optional<Authenticator> parse_authenticator(std::span<const std::byte> body) noexcept;

// Section 5.6: whoever makes a short nonce must leave room for the server's longer one, so that a
// reply need never be longer than its request.
bool leaves_room(const Authenticator& authenticator, crypto::AeadId aead) noexcept;

// The octets of a whole field, header included, for `plaintext` octets and that much padding.
std::size_t authenticator_size(crypto::AeadId aead, std::size_t plaintext,
                               std::size_t padding) noexcept;

// Writes the whole field into `out`, whose size says the padding. `nonce` has the size that we make
// (crypto::nonce_size); the plaintext's size is a multiple of four.
void write_authenticator(const crypto::Aead& aead, std::span<const std::byte> associated,
                         std::span<const std::byte> nonce, std::span<const std::byte> plaintext,
                         std::span<std::byte> out) noexcept;
// All of it but the ciphertext, which Aead::seal() of the result writes.
crypto::AeadJob begin_authenticator(const crypto::Aead& aead, std::span<const std::byte> associated,
                                    std::span<const std::byte> nonce,
                                    std::span<const std::byte> plaintext,
                                    std::span<std::byte> out) noexcept;

}  // namespace ntp::nts

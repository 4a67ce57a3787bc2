#include "nts/authenticator.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/check.h"
#include "nts/field.h"

namespace ntp::nts {
namespace {

constexpr std::size_t kLengths = 4;
// N_REQ of section 5.6: 16, or the longest nonce of the algorithm where that is less.
std::size_t required_nonce(crypto::AeadId aead) noexcept { return crypto::nonce_size(aead); }

}  // namespace

std::optional<Authenticator> parse_authenticator(std::span<const std::byte> body) noexcept {
  ByteReader in(body);
  const std::size_t nonce_length = in.read<std::uint16_t>();
  const std::size_t ciphertext_length = in.read<std::uint16_t>();
  Authenticator found;
  found.nonce = in.take(padded(nonce_length));
  found.ciphertext = in.take(padded(ciphertext_length));
  if (!in.ok() || nonce_length == 0 || ciphertext_length < crypto::kAeadTagSize) {
    return std::nullopt;
  }
  found.nonce = found.nonce.first(nonce_length);
  found.ciphertext = found.ciphertext.first(ciphertext_length);
  found.padding = in.remaining();
  return found;
}

bool leaves_room(const Authenticator& authenticator, crypto::AeadId aead) noexcept {
  return padded(authenticator.nonce.size()) + authenticator.padding >= required_nonce(aead);
}

std::size_t authenticator_size(crypto::AeadId aead, std::size_t plaintext,
                               std::size_t padding) noexcept {
  return kFieldHeader + kLengths + padded(crypto::nonce_size(aead)) +
         padded(plaintext + crypto::kAeadTagSize) + padding;
}

crypto::AeadJob begin_authenticator(const crypto::Aead& aead, std::span<const std::byte> associated,
                                    std::span<const std::byte> nonce,
                                    std::span<const std::byte> plaintext,
                                    std::span<std::byte> out) noexcept {
  const std::size_t sealed = plaintext.size() + crypto::kAeadTagSize;
  const std::size_t bare = authenticator_size(aead.id(), plaintext.size(), 0);
  NTP_CHECK(plaintext.size() % 4 == 0 && nonce.size() == crypto::nonce_size(aead.id()));
  NTP_CHECK(out.size() >= bare && out.size() % 4 == 0);
  ByteWriter writer(out);
  writer.write(wire::kNtsAuthenticator);
  writer.write(static_cast<std::uint16_t>(out.size()));
  writer.write(static_cast<std::uint16_t>(nonce.size()));
  writer.write(static_cast<std::uint16_t>(sealed));
  const auto rest = out.subspan(writer.size());
  copy_octets(nonce, rest);
  std::ranges::fill(rest.subspan(nonce.size() + sealed), std::byte{});
  return {.by = &aead,
          .nonce = nonce,
          .associated = associated,
          .in = plaintext,
          .out = rest.subspan(nonce.size(), sealed)};
}

void write_authenticator(const crypto::Aead& aead, std::span<const std::byte> associated,
                         std::span<const std::byte> nonce, std::span<const std::byte> plaintext,
                         std::span<std::byte> out) noexcept {
  crypto::Aead::seal(std::array{begin_authenticator(aead, associated, nonce, plaintext, out)});
}

}  // namespace ntp::nts

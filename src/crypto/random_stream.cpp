#include "crypto/random_stream.h"

#include <nettle/chacha.h>

#include <algorithm>

#include "crypto/octets.h"
#include "crypto/secret.h"

namespace ntp::crypto {

static_assert(RandomStream::kSeedSize == CHACHA_KEY_SIZE);

RandomStream::RandomStream(const Seed& seed) noexcept : key_(seed) {}

RandomStream::~RandomStream() {
  wipe(key_);
  wipe(ready_);
}

void RandomStream::refill() noexcept {
  constexpr std::array<std::uint8_t, CHACHA_NONCE_SIZE> kNonce{};  // no key is used twice
  std::array<std::byte, kSeedSize + sizeof(ready_)> made{};
  chacha_ctx cipher;
  chacha_set_key(&cipher, raw(std::span<const std::byte>(key_)));
  chacha_set_nonce(&cipher, kNonce.data());
  chacha_crypt(&cipher, made.size(), raw(std::span<std::byte>(made)),
               raw(std::span<const std::byte>(made)));
  std::copy_n(made.begin(), kSeedSize, key_.begin());
  std::copy(made.begin() + kSeedSize, made.end(), ready_.begin());
  used_ = 0;
  wipe(made);
  wipe_object(cipher);
}

void RandomStream::fill(std::span<std::byte> out) noexcept {
  while (!out.empty()) {
    if (used_ == ready_.size()) refill();
    const std::size_t n = std::min(out.size(), ready_.size() - used_);
    const auto given = std::span(ready_).subspan(used_, n);
    std::ranges::copy(given, out.begin());
    wipe(given);
    used_ += n;
    out = out.subspan(n);
  }
}

}  // namespace ntp::crypto

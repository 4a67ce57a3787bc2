#include "crypto/hkdf.h"

#include <nettle/hkdf.h>
#include <nettle/hmac.h>

#include <array>

#include "base/check.h"
#include "crypto/octets.h"
#include "crypto/secret.h"

namespace ntp::crypto {
namespace {

// The library's functions have their own contexts as first argument; HKDF wants untyped ones.
void update(void* context, std::size_t size, const std::uint8_t* data) {
  hmac_sha256_update(static_cast<hmac_sha256_ctx*>(context), size, data);
}
void digest(void* context, std::size_t size, std::uint8_t* out) {
  hmac_sha256_digest(static_cast<hmac_sha256_ctx*>(context), size, out);
}

}  // namespace

void hkdf_sha256(std::span<const std::byte> secret, std::span<const std::byte> salt,
                 std::span<const std::byte> info, std::span<std::byte> out) noexcept {
  NTP_CHECK(out.size() <= std::size_t{255} * SHA256_DIGEST_SIZE);
  constexpr std::uint8_t kNothing[1] = {};
  hmac_sha256_ctx context;
  SecretBytes<SHA256_DIGEST_SIZE> key;
  const auto pseudorandom = key.resize(SHA256_DIGEST_SIZE);
  hmac_sha256_set_key(&context, salt.size(), salt.empty() ? kNothing : raw(salt));
  hkdf_extract(&context, update, digest, SHA256_DIGEST_SIZE, secret.size(),
               secret.empty() ? kNothing : raw(secret), raw(pseudorandom));
  hmac_sha256_set_key(&context, SHA256_DIGEST_SIZE, raw(pseudorandom));
  hkdf_expand(&context, update, digest, SHA256_DIGEST_SIZE, info.size(),
              info.empty() ? kNothing : raw(info), out.size(), raw(out));
  wipe_object(context);
}

}  // namespace ntp::crypto

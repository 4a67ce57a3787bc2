#include "crypto/mac.h"

#include <algorithm>

#include "base/check.h"
#include "crypto/octets.h"

namespace ntp::crypto {
namespace {

constexpr std::array<std::string_view, 7> kNames = {"MD5",    "SHA1",   "SHA256", "SHA384",
                                                    "SHA512", "AES128", "AES256"};

// The context is a copy: what it learns of the message goes with it.
template <typename Context, typename Update, typename Digest>
MacBytes finish(Context context, Update update, Digest digest, std::size_t size,
                std::span<const std::byte> message) noexcept {
  MacBytes mac{};
  update(&context, message.size(), raw(message));
  digest(&context, size, raw(std::span<std::byte>(mac)));
  wipe_object(context);
  return mac;
}

}  // namespace

std::size_t mac_size(MacType type) noexcept {
  const bool is_short =
      type == MacType::md5 || type == MacType::aes_128_cmac || type == MacType::aes_256_cmac;
  return is_short ? 16 : kMaxMacSize;
}

std::size_t full_mac_size(MacType type) noexcept {
  switch (type) {
    case MacType::sha256:
      return SHA256_DIGEST_SIZE;
    case MacType::sha384:
      return SHA384_DIGEST_SIZE;
    case MacType::sha512:
      return SHA512_DIGEST_SIZE;
    default:
      return mac_size(type);
  }
}

bool is_mac_key_size(MacType type, std::size_t size) noexcept {
  if (type == MacType::aes_128_cmac) return size == AES128_KEY_SIZE;
  if (type == MacType::aes_256_cmac) return size == AES256_KEY_SIZE;
  return size >= 1 && size <= kMaxMacKeySize;
}

std::string_view name(MacType type) noexcept { return kNames[static_cast<std::size_t>(type)]; }

std::optional<MacKey> MacKey::make(MacType type, std::span<const std::byte> key) noexcept {
  if (!is_mac_key_size(type, key.size())) return std::nullopt;
  MacKey made(type);
  Prepared& to = made.prepared_;
  switch (type) {
    case MacType::md5:
      md5_init(&to.md5);
      md5_update(&to.md5, key.size(), raw(key));
      break;
    case MacType::sha1:
      sha1_init(&to.sha1);
      sha1_update(&to.sha1, key.size(), raw(key));
      break;
    case MacType::sha256:
      sha256_init(&to.sha256);
      sha256_update(&to.sha256, key.size(), raw(key));
      break;
    case MacType::sha384:
      sha384_init(&to.sha512);
      sha512_update(&to.sha512, key.size(), raw(key));
      break;
    case MacType::sha512:
      sha512_init(&to.sha512);
      sha512_update(&to.sha512, key.size(), raw(key));
      break;
    case MacType::aes_128_cmac:
      cmac_aes128_set_key(&to.cmac_128, raw(key));
      break;
    case MacType::aes_256_cmac:
      cmac_aes256_set_key(&to.cmac_256, raw(key));
      break;
  }
  return made;
}

MacBytes MacKey::compute(std::span<const std::byte> message) const noexcept {
  const Prepared& from = prepared_;
  switch (type_) {
    case MacType::md5:
      return finish(from.md5, md5_update, md5_digest, full_size(), message);
    case MacType::sha1:
      return finish(from.sha1, sha1_update, sha1_digest, full_size(), message);
    case MacType::sha256:
      return finish(from.sha256, sha256_update, sha256_digest, full_size(), message);
    case MacType::sha384:
      return finish(from.sha512, sha512_update, sha384_digest, full_size(), message);
    case MacType::sha512:
      return finish(from.sha512, sha512_update, sha512_digest, full_size(), message);
    case MacType::aes_128_cmac:
      return finish(from.cmac_128, cmac_aes128_update, cmac_aes128_digest, full_size(), message);
    case MacType::aes_256_cmac:
      return finish(from.cmac_256, cmac_aes256_update, cmac_aes256_digest, full_size(), message);
  }
  NTP_CHECK(false);
}

bool MacKey::verify(std::span<const std::byte> message,
                    std::span<const std::byte> mac) const noexcept {
  const MacBytes own = compute(message);
  if (mac.size() != size() && mac.size() != full_size()) return false;
  return equal_in_constant_time(std::span(own).first(mac.size()), mac);
}

}  // namespace ntp::crypto

// A client, a server and their keys, by seeds. For tests.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "crypto/random_stream.h"
#include "nts/client_packet.h"
#include "nts/cookie.h"
#include "nts/field.h"
#include "nts/request.h"

namespace ntp::nts {

using Bytes = std::vector<std::byte>;

inline Bytes octets(std::size_t size, unsigned first) {
  Bytes bytes(size);
  for (auto& octet : bytes) octet = static_cast<std::byte>(first++);
  return bytes;
}

inline SessionKeys session_keys(crypto::AeadId aead = crypto::AeadId::aes_siv_cmac_256) {
  SessionKeys keys{.aead = aead};
  keys.c2s.assign(octets(crypto::key_size(aead), 10));
  keys.s2c.assign(octets(crypto::key_size(aead), 90));
  return keys;
}

inline const Bytes kSecret = octets(32, 1);
inline const Bytes kOtherSecret = octets(32, 2);
inline constexpr std::uint32_t kEpoch = 20'000;

inline CookieKeys cookie_keys(std::uint32_t epoch = kEpoch) {
  return CookieKeys({.secret = kSecret, .epoch = epoch});
}

inline Bytes sealed_cookie(const SessionKeys& keys, std::uint32_t epoch = kEpoch,
                           const Bytes& secret = kSecret) {
  crypto::RandomStream random({std::byte{3}});
  Bytes cookie(cookie_size(keys.aead));
  CookieSealer(derive_cookie_key(secret, epoch)).seal(keys, random, cookie);
  return cookie;
}

// What the successors of an opened cookie are sealed with.
inline CookieSealer sealer_after(const CookieKeys::Opened& opened, const CookieKeys& by) {
  return CookieSealer(opened.own_key().value_or(by.current_key()));
}

inline Bytes field(std::uint16_t type, const Bytes& body) {
  Bytes out(kFieldHeader + body.size());
  write_field(type, body, out);
  return out;
}

// A request put together field by field, so that each can be wrong.
struct RequestParts {
  wire::Header header{.xmt = {0x1234567890abcdef}};
  SessionKeys keys = session_keys();
  std::vector<Bytes> fields{};  // before the authenticator
  Bytes plaintext{};
  std::size_t padding = 0;
  Bytes behind{};

  Bytes bytes() const {
    Bytes out(wire::kHeaderSize);
    encode_header(header, std::span(out).first<wire::kHeaderSize>());
    for (const Bytes& one : fields) out.insert(out.end(), one.begin(), one.end());
    const Bytes before = out;
    const auto aead = crypto::Aead::make(keys.aead, keys.c2s.view());
    out.resize(out.size() + authenticator_size(keys.aead, plaintext.size(), padding));
    write_authenticator(*aead, before, octets(crypto::nonce_size(keys.aead), 77), plaintext,
                        std::span(out).subspan(before.size()));
    out.insert(out.end(), behind.begin(), behind.end());
    return out;
  }
};

inline const Bytes kUniqueId = octets(32, 200);

inline RequestParts good_parts(std::size_t placeholders = 0, SessionKeys keys = session_keys()) {
  RequestParts parts{.keys = keys};
  const Bytes cookie = sealed_cookie(keys);
  parts.fields = {field(wire::kUniqueIdentifier, kUniqueId), field(wire::kNtsCookie, cookie)};
  for (std::size_t i = 0; i < placeholders; ++i) {
    parts.fields.push_back(field(wire::kNtsCookiePlaceholder, Bytes(cookie.size())));
  }
  return parts;
}

}  // namespace ntp::nts

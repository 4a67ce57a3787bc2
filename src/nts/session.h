// The keys that one NTS client and the server share (RFC 8915 section 5.1).
#pragma once

#include "crypto/aead.h"

namespace ntp::nts {

struct SessionKeys {
  crypto::AeadId aead = crypto::AeadId::aes_siv_cmac_256;
  crypto::AeadKey c2s{};  // seals requests
  crypto::AeadKey s2c{};  // seals replies

  // Both keys have the size that the algorithm wants, and this build can compute it.
  bool is_usable() const noexcept {
    return crypto::is_supported(aead) && c2s.size() == crypto::key_size(aead) &&
           s2c.size() == crypto::key_size(aead);
  }
  friend bool operator==(const SessionKeys&, const SessionKeys&) = default;
};

}  // namespace ntp::nts

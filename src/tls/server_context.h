// What a TLS server shows and keeps secret: a certificate chain and its key, ready for connections.
//
// TLS 1.3 only, no session tickets, no early data, no client certificates; one ALPN protocol, and a
// client that does not ask for it is refused (RFC 8915 section 4).
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

struct ssl_ctx_st;

namespace ntp::tls {

struct CertificateFacts {
  std::string subject{};  // printable, at most 200 octets
  RealTime valid_from{};  // of the whole chain: the latest begin, the earliest end
  RealTime valid_until{};
  int chain = 0;  // certificates in the file

  friend bool operator==(const CertificateFacts&, const CertificateFacts&) = default;
};

// Immutable once loaded; connections hold what they need of it, so it may go before they do. Used
// by one thread.
class ServerContext {
 public:
  // PEM files: the certificate first and then what leads to the root; the key without a password.
  // The error is one line that says which file, what is wrong and what to do about it.
  static std::expected<ServerContext, std::string> load(const std::string& certificate_file,
                                                        const std::string& key_file,
                                                        std::string_view alpn);

  const CertificateFacts& certificate() const noexcept { return facts_; }
  const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  ssl_ctx_st* get() const noexcept { return context_.get(); }

 private:
  struct FreeContext {
    void operator()(ssl_ctx_st* context) const noexcept;
  };

  ServerContext() = default;

  std::unique_ptr<ssl_ctx_st, FreeContext> context_;
  std::unique_ptr<const std::string> alpn_;  // its address is known to the context
  CertificateFacts facts_;
  std::vector<std::string> warnings_;
};

// What is wrong with the time of a certificate, as one line; empty while there is more than a
// month. `days_left` is rounded down: negative once it has expired.
std::string validity_warning(const CertificateFacts& facts, RealTime now);
std::int64_t days_left(const CertificateFacts& facts, RealTime now);

}  // namespace ntp::tls

#include "tls/server_context.h"

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "os/secret_file.h"
#include "tls/certificate.h"
#include "tls/hello.h"
#include "tls/openssl.h"

namespace ntp::tls {
namespace {

constexpr std::size_t kLargestFile = 1 << 20;
constexpr int kLongestChain = 10;

template <typename T>
using Result = std::expected<T, std::string>;

std::string what_it_is_instead(const std::string& text) {
  if (text.empty()) return "it is empty";
  if (text.front() == '\x30') return "it is binary (DER); convert it to PEM with `openssl`";
  if (text.find("-----BEGIN ENCRYPTED") != std::string::npos ||
      text.find("Proc-Type: 4,ENCRYPTED") != std::string::npos) {
    return "the key in it is locked with a password; write it without one";
  }
  if (text.find("PRIVATE KEY-----") != std::string::npos) return "there is a private key in it";
  if (text.find("CERTIFICATE-----") != std::string::npos) return "there is a certificate in it";
  return "there is no \"-----BEGIN …\" in it";
}

Result<void> add_chain(SSL_CTX* context, const std::string& file, const std::string& text,
                       CertificateFacts& facts) {
  const Bio in = bio_of(text);
  while (facts.chain < kLongestChain) {
    Certificate next(PEM_read_bio_X509(in.get(), nullptr, no_password, nullptr));
    if (!next) {
      const bool over = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
      const std::string why = openssl_reason();
      if (facts.chain == 0 && over) {
        return std::unexpected(fmt::format("{}: it holds no certificate in PEM form: {}", file,
                                           what_it_is_instead(text)));
      }
      if (!over) {
        return std::unexpected(
            fmt::format("{}: certificate {} in it is damaged ({})", file, facts.chain + 1, why));
      }
      return {};
    }
    const bool first = facts.chain == 0;
    if (first) facts.subject = subject_of(next.get());
    narrow(facts, next.get());
    const int taken = first ? SSL_CTX_use_certificate(context, next.get())
                            : static_cast<int>(SSL_CTX_add1_chain_cert(context, next.get()));
    if (taken != 1) {
      return std::unexpected(fmt::format("{}: certificate {} in it is not usable ({})", file,
                                         facts.chain, openssl_reason()));
    }
  }
  return std::unexpected(
      fmt::format("{}: there are more than {} certificates in it; a server "
                  "shows its own and those that lead to the root",
                  file, kLongestChain));
}

Result<void> add_key(SSL_CTX* context, const std::string& file, const std::string& text,
                     const std::string& certificate_file) {
  const Bio in = bio_of(text);
  const Key key(PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr));
  if (!key) {
    ERR_clear_error();
    return std::unexpected(
        fmt::format("{}: it holds no private key in PEM form: {}", file, what_it_is_instead(text)));
  }
  if (X509_check_private_key(SSL_CTX_get0_certificate(context), key.get()) != 1) {
    ERR_clear_error();
    return std::unexpected(fmt::format(
        "{}: the key does not belong to the first certificate of {}; a pair that was issued "
        "together is needed",
        file, certificate_file));
  }
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return std::unexpected(fmt::format("{}: the key is not usable ({})", file, openssl_reason()));
  }
  return {};
}

void configure(SSL_CTX* context, const std::string& alpn) {
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_recv_max_early_data(context, 0);
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  demand_alpn(context, alpn);
}

}  // namespace

void ServerContext::FreeContext::operator()(ssl_ctx_st* context) const noexcept {
  SSL_CTX_free(context);
}

std::expected<ServerContext, std::string> ServerContext::load(const std::string& certificate_file,
                                                              const std::string& key_file,
                                                              std::string_view alpn) {
  // The host's openssl.cnf is not ours: no file is read but the two.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  auto chain = os::read_secret_file(certificate_file, kLargestFile, os::Readers::anybody);
  if (!chain) return std::unexpected(std::move(chain.error()));
  auto key = os::read_secret_file(key_file, kLargestFile);
  if (!key) return std::unexpected(std::move(key.error()));

  ServerContext out;
  out.context_.reset(SSL_CTX_new(TLS_server_method()));
  if (!out.context_) return std::unexpected("OpenSSL: " + openssl_reason());
  out.alpn_ = std::make_unique<const std::string>(alpn);
  configure(out.context_.get(), *out.alpn_);
  auto added = add_chain(out.context_.get(), certificate_file, chain->text, out.facts_);
  if (added) added = add_key(out.context_.get(), key_file, key->text, certificate_file);
  os::wipe(key->text);
  if (!added) return std::unexpected(std::move(added.error()));
  if (!key->warning.empty()) out.warnings_.push_back(std::move(key->warning));
  return out;
}

std::int64_t days_left(const CertificateFacts& facts, RealTime now) {
  return std::chrono::floor<std::chrono::days>(facts.valid_until - now).count();
}

std::string validity_warning(const CertificateFacts& facts, RealTime now) {
  constexpr std::int64_t kSoon_days = 30;
  if (now < facts.valid_from) return "the certificate is not valid yet: clients refuse it";
  const std::int64_t days = days_left(facts, now);
  if (facts.valid_until <= now) return "the certificate has expired: clients refuse it; renew it";
  if (days >= kSoon_days) return {};
  return days == 0 ? "the certificate expires within a day; renew it"
                   : fmt::format("the certificate expires in {} day{}; renew it", days,
                                 days == 1 ? "" : "s");
}

}  // namespace ntp::tls

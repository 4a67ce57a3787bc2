#include "tls/client_connection.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/ip.h"
#include "tls/certificate.h"

namespace ntp::tls {

struct ClientConnection::Check {
  CertificateTimes times{};
  int error = X509_V_OK;  // the one that was not tolerated
  std::string subject{};  // of the certificate that has it

  // OpenSSL calls it for each certificate of the chain and for each error.
  static int on_verify(int good, X509_STORE_CTX* context);
};

namespace {

int check_index() {
  static const int kIndex = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return kIndex;
}

bool is_tolerated(int error, const CertificateTimes& times) {
  if (error == X509_V_ERR_CERT_NOT_YET_VALID) return times.tolerate_early;
  if (error == X509_V_ERR_CERT_HAS_EXPIRED) return times.tolerate_expired;
  return false;
}

void set_name(SSL* ssl, std::string name) {
  X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl);
  if (name.ends_with('.')) name.pop_back();
  if (parse_ip(name)) {
    NTP_CHECK(X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1);
    return;
  }
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  NTP_CHECK(X509_VERIFY_PARAM_set1_host(wanted, name.data(), name.size()) == 1);
  // SSL_set_tlsext_host_name() without its cast.
  SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
}

}  // namespace

int ClientConnection::Check::on_verify(int good, X509_STORE_CTX* context) {
  if (good == 1) return 1;
  auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* check = static_cast<Check*>(SSL_get_ex_data(ssl, check_index()));
  const int error = X509_STORE_CTX_get_error(context);
  if (check == nullptr) return 0;
  if (is_tolerated(error, check->times)) return 1;
  check->error = error;
  if (X509* bad = X509_STORE_CTX_get_current_cert(context)) check->subject = subject_of(bad);
  return 0;
}

ClientConnection::ClientConnection(const ClientContext& context, const std::string& name,
                                   const CertificateTimes& times)
    : Connection(SSL_new(context.get())), check_(std::make_unique<Check>(Check{.times = times})) {
  SSL* connection = ssl();
  SSL_set_ex_data(connection, check_index(), check_.get());
  SSL_set_verify(connection, SSL_VERIFY_PEER, Check::on_verify);
  const auto since_1970 = std::chrono::floor<std::chrono::seconds>(times.now.time_since_epoch());
  X509_VERIFY_PARAM_set_time(SSL_get0_param(connection), since_1970.count());
  set_name(connection, name);
  SSL_set_connect_state(connection);
}

ClientConnection::~ClientConnection() = default;
ClientConnection::ClientConnection(ClientConnection&&) noexcept = default;
ClientConnection& ClientConnection::operator=(ClientConnection&&) noexcept = default;

std::optional<Distrust> ClientConnection::distrust() const noexcept {
  switch (check_->error) {
    case X509_V_OK:
      return std::nullopt;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return Distrust::wrong_name;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Distrust::early;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return Distrust::expired;
    default:
      return Distrust::untrusted;
  }
}

std::string ClientConnection::distrust_words() const {
  return fmt::format("{} ({})", X509_verify_cert_error_string(check_->error), check_->subject);
}

std::string_view ClientConnection::alpn() const noexcept {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

PeerCertificate ClientConnection::certificate() const {
  PeerCertificate out;
  X509* own = SSL_get0_peer_certificate(ssl());
  if (own == nullptr) return out;
  out.subject = subject_of(own);
  out.issuer = issuer_of(own);
  CertificateFacts facts;
  STACK_OF(X509)* chain = SSL_get0_verified_chain(ssl());
  for (int i = 0; i < sk_X509_num(chain); ++i) narrow(facts, sk_X509_value(chain, i));
  out.valid_from = facts.valid_from;
  out.valid_until = facts.valid_until;
  return out;
}

std::string_view ClientConnection::cipher() const noexcept {
  const char* name = SSL_get_cipher_name(ssl());
  return name != nullptr ? name : "";
}

}  // namespace ntp::tls

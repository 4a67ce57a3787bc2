#include "tls/hello.h"

#include <openssl/ssl.h>
#include <openssl/tls1.h>

#include <cstring>

namespace ntp::tls {
namespace {

void note(SSL* ssl, Failure failure) {
  if (auto* notes = static_cast<HelloNotes*>(SSL_get_app_data(ssl))) notes->refused = failure;
}

bool has_extension(SSL* ssl, unsigned int type) {
  const unsigned char* body = nullptr;
  std::size_t size = 0;
  return SSL_client_hello_get0_ext(ssl, type, &body, &size) == 1;
}

// OpenSSL asks on_alpn() only where the client names protocols at all.
int on_hello(SSL* ssl, int* alert, void*) {
  const bool speaks_tls13 = has_extension(ssl, TLSEXT_TYPE_supported_versions);
  if (!speaks_tls13 || has_extension(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation)) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  note(ssl, Failure::no_alpn);
  *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
  return SSL_CLIENT_HELLO_ERROR;
}

int on_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
            unsigned int in_size, void* wanted) {
  const auto& name = *static_cast<const std::string*>(wanted);
  for (unsigned int at = 0; at < in_size; at += 1u + in[at]) {
    const unsigned int size = in[at];
    if (size != name.size() || at + 1 + size > in_size) continue;
    if (std::memcmp(in + at + 1, name.data(), size) != 0) continue;
    *out = in + at + 1;
    *out_size = in[at];
    return SSL_TLSEXT_ERR_OK;
  }
  note(ssl, Failure::wrong_alpn);
  return SSL_TLSEXT_ERR_ALERT_FATAL;  // no_application_protocol
}

}  // namespace

void demand_alpn(ssl_ctx_st* context, const std::string& alpn) {
  SSL_CTX_set_client_hello_cb(context, on_hello, nullptr);
  SSL_CTX_set_alpn_select_cb(context, on_alpn, const_cast<std::string*>(&alpn));
}

}  // namespace ntp::tls

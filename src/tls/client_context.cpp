#include "tls/client_context.h"

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <cstdlib>
#include <utility>

#include "os/secret_file.h"
#include "tls/openssl.h"

namespace ntp::tls {
namespace {

constexpr int kMostRoots = 2000;

std::expected<std::pair<std::string, std::string>, std::string> read_roots(
    const std::string& wanted) {
  const auto files = wanted.empty() ? system_root_files() : std::vector<std::string>{wanted};
  std::string why;
  for (const std::string& file : files) {
    auto text = os::read_secret_file(file, kLargestRootFile, os::Readers::anybody);
    if (text) return std::pair(file, std::move(text->text));
    why = std::move(text.error());
  }
  if (!wanted.empty()) return std::unexpected(why);
  return std::unexpected(fmt::format(
      "there are no root certificates on this system (none of {} can be read); install them, mount "
      "them where this is a container, or name those of the server's authority by nts_ca",
      fmt::join(files, ", ")));
}

// Every certificate of the file is a root: who wrote it there trusts it.
std::expected<int, std::string> add_roots(SSL_CTX* context, const std::string& file,
                                          const std::string& text) {
  const Bio in = bio_of(text);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  int count = 0;
  while (count < kMostRoots) {
    const Certificate root(PEM_read_bio_X509_AUX(in.get(), nullptr, no_password, nullptr));
    if (!root) break;
    if (X509_STORE_add_cert(store, root.get()) == 1) ++count;
  }
  const bool over = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const std::string why = openssl_reason();
  if (count > 0 && (over || count == kMostRoots)) return count;
  if (over) return std::unexpected(file + ": it holds no certificate in PEM form");
  return std::unexpected(
      fmt::format("{}: certificate {} in it is damaged ({})", file, count + 1, why));
}

}  // namespace

std::vector<std::string> system_root_files() {
  std::vector<std::string> files;
  if (const char* given = std::getenv("SSL_CERT_FILE"); given != nullptr && *given == '/') {
    files.emplace_back(given);
  }
  for (const char* place : {"/etc/ssl/certs/ca-certificates.crt",
                            "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}) {
    files.emplace_back(place);
  }
  return files;
}

void ClientContext::FreeContext::operator()(ssl_ctx_st* context) const noexcept {
  SSL_CTX_free(context);
}

std::expected<ClientContext, std::string> ClientContext::load(const std::string& roots,
                                                              std::string_view alpn) {
  // The host's openssl.cnf is not ours: no file is read but the one.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  auto read = read_roots(roots);
  if (!read) return std::unexpected(std::move(read.error()));
  ClientContext out;
  out.context_.reset(SSL_CTX_new(TLS_client_method()));
  if (!out.context_) return std::unexpected("OpenSSL: " + openssl_reason());
  SSL_CTX* context = out.context_.get();
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  std::string list(1, static_cast<char>(alpn.size()));
  list += alpn;
  // Of the calls of OpenSSL only this one returns 0 for success.
  if (SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(list.data()),
                              static_cast<unsigned>(list.size())) != 0) {
    return std::unexpected("OpenSSL: " + openssl_reason());
  }
  auto count = add_roots(context, read->first, read->second);
  if (!count) return std::unexpected(std::move(count.error()));
  out.roots_ = *count;
  out.file_ = std::move(read->first);
  return out;
}

}  // namespace ntp::tls

// For tests: a TLS client over memory, and a server's files in a folder of their own.
#pragma once

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "os/clocks.h"
#include "tls/authority.h"
#include "tls/server_connection.h"

namespace ntp::tls::testing {

inline constexpr std::string_view kAlpn = "ntske/1";

inline std::string alpn_list(const std::vector<std::string>& names) {
  std::string list;
  for (const auto& name : names) list += static_cast<char>(name.size()) + name;
  return list;
}

class Client {
 public:
  struct Options {
    std::vector<std::string> alpn{std::string(kAlpn)};
    int most = TLS1_3_VERSION;
    bool offers_early_data = false;
    std::string trusted{};  // PEM; empty: anything is believed
    std::string host{};
  };

  explicit Client(const Options& options)
      : context_(SSL_CTX_new(TLS_client_method())), ssl_(nullptr) {
    SSL_CTX_set_max_proto_version(context_, options.most);
    if (options.most < TLS1_2_VERSION) {  // which OpenSSL 3.5 does not even offer by itself
      SSL_CTX_set_min_proto_version(context_, options.most);
      SSL_CTX_set_security_level(context_, 0);
    }
    if (!options.trusted.empty()) {
      BIO* in = BIO_new_mem_buf(options.trusted.data(), static_cast<int>(options.trusted.size()));
      X509* root = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), root);
      X509_free(root);
      BIO_free(in);
      SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    }
    ssl_ = SSL_new(context_);
    const std::string list = alpn_list(options.alpn);
    if (!list.empty()) {
      SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(list.data()),
                          static_cast<unsigned>(list.size()));
    }
    if (!options.host.empty()) {
      X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl_);
      if (X509_VERIFY_PARAM_set1_ip_asc(wanted, options.host.c_str()) != 1) {
        X509_VERIFY_PARAM_set1_host(wanted, options.host.c_str(), options.host.size());
      }
    }
    SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_);
  }
  ~Client() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // One turn of the handshake; whether it is over.
  bool shake() { return SSL_do_handshake(ssl_) == 1; }

  std::vector<std::byte> take() {
    std::vector<std::byte> out(BIO_ctrl_pending(SSL_get_wbio(ssl_)));
    if (!out.empty()) BIO_read(SSL_get_wbio(ssl_), out.data(), static_cast<int>(out.size()));
    return out;
  }
  void give(std::span<const std::byte> octets) {
    if (!octets.empty())
      BIO_write(SSL_get_rbio(ssl_), octets.data(), static_cast<int>(octets.size()));
  }
  SSL* get() { return ssl_; }

 private:
  SSL_CTX* context_;
  SSL* ssl_;
};

inline std::vector<std::byte> drain(ServerConnection& server) {
  std::vector<std::byte> out(server.pending());
  out.resize(server.drain(out));
  return out;
}

// Certificate and key of a fresh authority in a folder that is removed again.
class Files {
 public:
  explicit Files(std::chrono::hours until = std::chrono::hours(24 * 365),
                 const std::vector<std::string>& hosts = {"localhost", "127.0.0.1"}) {
    const RealTime now = os::real_now();
    const Validity validity{.from = std::min(now, now + until) - std::chrono::hours(1),
                            .until = now + until};
    authority = *make_authority("test", validity);
    server = *issue(authority, hosts, validity);
    std::string pattern = std::filesystem::temp_directory_path() / "ntp-tls-XXXXXX";
    folder = mkdtemp(pattern.data());
    certificate = write("server.crt", server.certificate);
    key = write("server.key", server.key);
  }
  ~Files() { std::filesystem::remove_all(folder); }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const std::string path = folder / name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  ServerContext context() const { return std::move(*ServerContext::load(certificate, key, kAlpn)); }

  std::filesystem::path folder;
  Credentials authority, server;
  std::string certificate, key;
};

}  // namespace ntp::tls::testing

#include "tls/authority.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>

#include <algorithm>

#include "base/ip.h"
#include "tls/openssl.h"

namespace ntp::tls {
namespace {

constexpr int kSerialBits = 127;
constexpr std::size_t kLongestName = 64;  // X.520's ub-common-name

std::unexpected<std::string> failed(const char* doing) {
  return std::unexpected(fmt::format("OpenSSL cannot {} ({})", doing, openssl_reason()));
}

bool set_serial(X509* certificate) {
  const Number number(BN_new());
  return number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_time(ASN1_TIME* out, RealTime time) {
  const auto s = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  return ASN1_TIME_set(out, static_cast<time_t>(s)) != nullptr;
}

bool set_name(X509_NAME* name, const std::string& common_name) {
  const auto* text = reinterpret_cast<const unsigned char*>(common_name.data());
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text,
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

Key read_key(const std::string& pem) {
  return Key(PEM_read_bio_PrivateKey(bio_of(pem).get(), nullptr, no_password, nullptr));
}

std::string pem_of(X509* certificate) {
  const Bio out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(std::max(size, 0L))};
}

std::string pem_of(EVP_PKEY* key) {
  const Bio out(BIO_new(BIO_s_secmem()));
  PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  std::string text(data, static_cast<std::size_t>(std::max(size, 0L)));
  OPENSSL_cleanse(data, text.size());
  return text;
}

Certificate blank(EVP_PKEY* key, const std::string& name, Validity validity) {
  Certificate out(X509_new());
  const bool good =
      out && X509_set_version(out.get(), X509_VERSION_3) == 1 && set_serial(out.get()) &&
      set_time(X509_getm_notBefore(out.get()), validity.from) &&
      set_time(X509_getm_notAfter(out.get()), validity.until) &&
      X509_set_pubkey(out.get(), key) == 1 && set_name(X509_get_subject_name(out.get()), name);
  if (!good) out.reset();
  return out;
}

// "DNS:time.example,IP:192.0.2.1"
std::string alternative_names(const std::vector<std::string>& hosts) {
  std::string text;
  for (const std::string& host : hosts) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", parse_ip(host) ? "IP" : "DNS", host);
  }
  return text;
}

}  // namespace

bool is_host(const std::string& text) {
  if (parse_ip(text)) return true;
  if (text.empty() || text.size() > 253) return false;
  std::size_t label = 0;
  char before = '.';
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '-' && c != '.') return false;
    if ((c == '-' || c == '.') && before == '.') return false;
    if (c == '.' && before == '-') return false;
    label = c == '.' ? 0 : label + 1;
    if (label > 63) return false;
    before = c;
  }
  return before != '-' && before != '.';
}

std::expected<Credentials, std::string> make_authority(const std::string& name, Validity validity) {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return failed("make a key");
  const Certificate out = blank(key.get(), name, validity);
  if (!out) return failed("fill in the certificate of the authority");
  X509* self = out.get();
  const bool good =
      X509_set_issuer_name(self, X509_get_subject_name(self)) == 1 &&
      add_extension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
      add_extension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign") &&
      add_extension(self, self, NID_subject_key_identifier, "hash") &&
      X509_sign(self, key.get(), EVP_sha256()) > 0;
  if (!good) return failed("sign the certificate of the authority");
  return Credentials{.certificate = pem_of(self), .key = pem_of(key.get())};
}

std::expected<Credentials, std::string> issue(const Credentials& authority,
                                              const std::vector<std::string>& hosts,
                                              Validity validity, const std::string& key_text) {
  const Certificate issuer(
      PEM_read_bio_X509(bio_of(authority.certificate).get(), nullptr, no_password, nullptr));
  const Key issuer_key = read_key(authority.key);
  if (!issuer || !issuer_key) return failed("read the authority's certificate and key");
  if (X509_check_private_key(issuer.get(), issuer_key.get()) != 1) {
    ERR_clear_error();
    return std::unexpected("the authority's key does not belong to its certificate");
  }
  const Key key = key_text.empty() ? Key(EVP_EC_gen("P-256")) : read_key(key_text);
  if (!key) return failed(key_text.empty() ? "make a key" : "read the server's key");
  const Certificate out = blank(key.get(), hosts.front().substr(0, kLongestName), validity);
  if (!out) return failed("fill in the server's certificate");
  X509* server = out.get();
  const bool good =
      X509_set_issuer_name(server, X509_get_subject_name(issuer.get())) == 1 &&
      add_extension(server, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(server, issuer.get(), NID_key_usage, "critical,digitalSignature") &&
      add_extension(server, issuer.get(), NID_ext_key_usage, "serverAuth") &&
      add_extension(server, issuer.get(), NID_subject_key_identifier, "hash") &&
      add_extension(server, issuer.get(), NID_authority_key_identifier, "keyid:always") &&
      add_extension(server, issuer.get(), NID_subject_alt_name, alternative_names(hosts)) &&
      X509_sign(server, issuer_key.get(), EVP_sha256()) > 0;
  if (!good) return failed("sign the server's certificate");
  return Credentials{.certificate = pem_of(server), .key = pem_of(key.get())};
}

}  // namespace ntp::tls

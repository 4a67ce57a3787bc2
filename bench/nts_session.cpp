// nts_session ADDRESS PORT AUTHORITY.crt [AEAD]: one NTS key establishment (RFC 8915 section 4);
// writes the keys and cookies to standard output, for ntpload --nts. For measurements only.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <expected>
#include <memory>
#include <string>

#include "dialogue.h"
#include "frame.h"
#include "nts/ke_client.h"
#include "nts/ke_record.h"

namespace {

using namespace ntp;
using namespace ntp::bench;

struct Free {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, Free>;
using Tls = std::unique_ptr<SSL, Free>;

std::expected<int, std::string> connect_to(const std::string& address, unsigned port) {
  const auto host = parse_host(address);
  if (!host) return std::unexpected(host.error());
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(static_cast<std::uint16_t>(port));
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = v6.sin6_port;
  std::memcpy(host->is_v4() ? static_cast<void*>(&v4.sin_addr) : &v6.sin6_addr, host->octets.data(),
              host->size);
  const int fd = ::socket(host->is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto* name = host->is_v4() ? reinterpret_cast<const sockaddr*>(&v4)
                                   : reinterpret_cast<const sockaddr*>(&v6);
  if (fd < 0 || ::connect(fd, name, host->is_v4() ? sizeof v4 : sizeof v6) != 0) {
    return std::unexpected("cannot connect to " + address);
  }
  return fd;
}

std::string what_tls_says(const char* doing) {
  const unsigned long code = ERR_get_error();
  return std::string(doing) + ": " + (code != 0 ? ERR_error_string(code, nullptr) : "no reason");
}

std::expected<Tls, std::string> shake_hands(SSL_CTX* context, const std::string& address, int fd) {
  Tls tls(SSL_new(context));
  std::string alpn(1, static_cast<char>(nts::kKeAlpn.size()));
  alpn += nts::kKeAlpn;
  SSL_set_alpn_protos(tls.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                      static_cast<unsigned>(alpn.size()));
  X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls.get()), address.c_str());
  SSL_set_fd(tls.get(), fd);
  if (SSL_connect(tls.get()) != 1) return std::unexpected(what_tls_says("handshake"));
  return tls;
}

std::expected<nts::KeAnswer, std::string> talk(SSL* tls, unsigned aead) {
  std::array<std::byte, nts::kMaxKeRequest> request;
  nts::KeWriter writer(request);
  writer.number(true, nts::KeType::next_protocol, nts::kProtocolNtpv4);
  writer.number(true, nts::KeType::aead, static_cast<std::uint16_t>(aead));
  writer.end();
  if (SSL_write(tls, request.data(), static_cast<int>(writer.size())) <= 0) {
    return std::unexpected(what_tls_says("writing"));
  }
  std::vector<std::byte> message;
  while (true) {
    std::array<std::byte, 4096> part;
    const int size = SSL_read(tls, part.data(), part.size());
    if (size <= 0) return std::unexpected(what_tls_says("reading"));
    message.insert(message.end(), part.begin(), part.begin() + size);
    auto answer = nts::parse_ke_answer(message);
    if (answer) return *answer;
    if (answer.error().reason != nts::KeFailure::need_more) {
      return std::unexpected(std::string(nts::words(answer.error().reason)));
    }
  }
}

bool export_key(SSL* tls, const nts::KeAgreement& agreement, nts::KeDirection direction,
                crypto::AeadKey& key) {
  const auto out = key.resize(crypto::key_size(agreement.aead));
  const auto context = nts::exporter_context(agreement, direction);
  return SSL_export_keying_material(tls, reinterpret_cast<unsigned char*>(out.data()), out.size(),
                                    nts::kKeExporterLabel.data(), nts::kKeExporterLabel.size(),
                                    reinterpret_cast<const unsigned char*>(context.data()),
                                    context.size(), 1) == 1;
}

std::expected<Session, std::string> establish(const std::string& address, unsigned port,
                                              const char* authority, unsigned aead) {
  const Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_load_verify_file(context.get(), authority) != 1) {
    return std::unexpected(what_tls_says(authority));
  }
  const auto fd = connect_to(address, port);
  if (!fd) return std::unexpected(fd.error());
  const auto tls = shake_hands(context.get(), address, *fd);
  if (!tls) return std::unexpected(tls.error());
  const auto answer = talk(tls->get(), aead);
  if (!answer) return std::unexpected(answer.error());
  Session session{.keys = {.aead = answer->agreement.aead}, .cookies = answer->cookies};
  if (!export_key(tls->get(), answer->agreement, nts::KeDirection::c2s, session.keys.c2s) ||
      !export_key(tls->get(), answer->agreement, nts::KeDirection::s2c, session.keys.s2c)) {
    return std::unexpected(what_tls_says("exporting keys"));
  }
  return session;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: nts_session ADDRESS PORT AUTHORITY.crt [AEAD]\n", stderr);
    return 2;
  }
  constexpr unsigned kSivCmac256 = 15;
  const auto aead =
      argc > 4 ? static_cast<unsigned>(std::strtoul(argv[4], nullptr, 10)) : kSivCmac256;
  const auto session =
      establish(argv[1], static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)), argv[3], aead);
  if (!session) {
    std::fprintf(stderr, "nts_session: %s\n", session.error().c_str());
    return 1;
  }
  std::fputs(session_text(*session).c_str(), stdout);
  return 0;
}

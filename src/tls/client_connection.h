// A TLS connection as a client, and what it makes of the server's certificate.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "tls/client_context.h"
#include "tls/connection.h"

namespace ntp::tls {

// By which time certificates are judged. Nothing but the times is ever tolerated.
struct CertificateTimes {
  RealTime now{};
  bool tolerate_early = false;    // not valid yet: the clock may lag behind
  bool tolerate_expired = false;  // no longer valid: the clock may be ahead

  friend bool operator==(const CertificateTimes&, const CertificateTimes&) = default;
};

// Why a certificate is refused.
enum class Distrust : std::uint8_t {
  untrusted,   // no way from it to a root, or a bad signature, purpose or algorithm
  wrong_name,  // it is for other hosts
  early,       // not valid yet
  expired,
};

struct PeerCertificate {
  std::string subject{};  // printable, at most 200 octets
  std::string issuer{};
  RealTime valid_from{};  // of the chain that was believed: the latest begin, the earliest end
  RealTime valid_until{};
};

class ClientConnection : public Connection {
 public:
  // `name` is a host name or an address in numbers; the certificate must be for it.
  ClientConnection(const ClientContext& context, const std::string& name,
                   const CertificateTimes& times);
  ~ClientConnection();
  ClientConnection(ClientConnection&&) noexcept;
  ClientConnection& operator=(ClientConnection&&) noexcept;

  void start() { advance(); }  // the first octets are then ready for drain()

  // Why the certificate was refused; nothing where the failure is another one.
  std::optional<Distrust> distrust() const noexcept;
  std::string distrust_words() const;
  // The protocol that the server agreed to; empty: none.
  std::string_view alpn() const noexcept;
  // Once the handshake is over.
  PeerCertificate certificate() const;
  std::string_view cipher() const noexcept;

 private:
  struct Check;
  std::unique_ptr<Check> check_;
};

}  // namespace ntp::tls

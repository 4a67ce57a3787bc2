// Key establishment as a client, without a socket: TLS outside, the records of RFC 8915 inside.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ke/outbox.h"
#include "nts/establishment.h"
#include "nts/ke_client.h"
#include "tls/client_connection.h"

namespace ntp::ke {

// Send what is pending(), feed() what arrives, until there is an outcome and nothing is pending.
class ClientSession {
 public:
  // `name` is the host that the certificate must be for.
  ClientSession(const tls::ClientContext& context, const std::string& name,
                const tls::CertificateTimes& times);

  void feed(std::span<const std::byte> octets);
  void hear_end();  // the stream is over

  std::span<const std::byte> pending() const noexcept { return out_.pending(); }
  void sent(std::size_t octets) { out_.sent(octets); }  // of what was pending

  const std::optional<nts::Establishment>& outcome() const noexcept { return outcome_; }
  // For people who want to know more. Meaningful once there is a good outcome.
  const tls::ClientConnection& connection() const noexcept { return tls_; }
  const nts::KeAgreement& agreement() const noexcept { return agreement_; }
  const std::vector<std::uint16_t>& warnings() const noexcept { return warnings_; }

 private:
  void ask();
  void take_records();
  void conclude(const nts::KeAnswer& answer);
  void fail(nts::KeTrouble trouble, std::string why);
  void fail_by_tls();

  tls::ClientConnection tls_;
  bool asked_ = false;
  std::vector<std::byte> message_;
  Outbox out_;
  std::optional<nts::Establishment> outcome_;
  nts::KeAgreement agreement_{};
  std::vector<std::uint16_t> warnings_;
};

}  // namespace ntp::ke

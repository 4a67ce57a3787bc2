// One client of key establishment, without a socket: TLS outside, the records of RFC 8915 inside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "control/ke_view.h"
#include "crypto/random_stream.h"
#include "ke/outbox.h"
#include "nts/cookie.h"
#include "nts/ke_server.h"
#include "tls/server_connection.h"

namespace ntp::ke {

// What cookies are made with. One for the whole process; the sealer is replaced when its epoch
// ends.
struct Mint {
  explicit Mint(const crypto::RandomStream::Seed& seed) : random(seed) {}

  std::optional<nts::CookieSealer> sealer{};
  crypto::RandomStream random;
  std::uint16_t ntp_port = 123;  // where clients are to ask for the time
};

// feed() what arrives, send what is pending(), until there is an outcome and nothing is pending.
class Session {
 public:
  Session(const tls::ServerContext& context, Mint& mint);

  void feed(std::span<const std::byte> octets);

  std::span<const std::byte> pending() const noexcept { return out_.pending(); }
  void sent(std::size_t octets) { out_.sent(octets); }  // of what was pending

  // Once everything is decided: no octet of the client matters any more.
  std::optional<control::KeOutcome> outcome() const noexcept { return outcome_; }
  // What the keys are for that were handed out, where the outcome is ok.
  control::KeAead aead() const noexcept;
  // Changes whenever something was achieved; a client that drips octets achieves nothing.
  int progress() const noexcept { return tls_.progress(); }

 private:
  void take_records();
  void answer(nts::KeServer::Step step);
  control::KeOutcome write_cookies();
  void say(std::span<const std::byte> octets);
  void finish(control::KeOutcome outcome);

  tls::ServerConnection tls_;
  Mint& mint_;
  nts::KeServer machine_;
  Outbox out_;
  std::optional<control::KeOutcome> outcome_;
};

}  // namespace ntp::ke

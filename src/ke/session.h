// One client of key establishment, without a socket: TLS outside, the records of RFC 8915 inside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "control/ke_view.h"
#include "ke/message.h"
#include "tls/server_connection.h"

namespace ntp::ke {

// feed() what arrives, send what is pending(), until there is an outcome and nothing is pending.
class Session {
 public:
  Session(const tls::ServerContext& context, const SealingKey& key);

  void feed(std::span<const std::byte> octets);

  std::span<const std::byte> pending() const noexcept;
  void sent(std::size_t octets);  // of what was pending

  // Once everything is decided: no octet of the client matters any more.
  std::optional<control::KeOutcome> outcome() const noexcept { return outcome_; }
  // Changes whenever something was achieved; a client that drips octets achieves nothing.
  int progress() const noexcept { return tls_.progress(); }

 private:
  void take_records();
  void answer();
  void finish(control::KeOutcome outcome);
  void collect();

  tls::ServerConnection tls_;
  SealingKey key_;
  std::vector<std::byte> out_;
  std::size_t sent_ = 0;
  std::optional<control::KeOutcome> outcome_;
};

}  // namespace ntp::ke

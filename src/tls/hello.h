// What of a client's first message decides before the handshake goes on. For this folder only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tls/connection.h"

struct ssl_ctx_st;
struct ssl_st;

namespace ntp::tls {

// Where the callbacks of a connection leave why they refused it: SSL_set_app_data().
struct HelloNotes {
  std::optional<Failure> refused{};
};

// Whoever does not ask for `alpn` gets the alert no_application_protocol. The text must live as
// long as the context.
void demand_alpn(ssl_ctx_st* context, const std::string& alpn);

}  // namespace ntp::tls

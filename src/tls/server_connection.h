// A TLS connection as a server.
#pragma once

#include "tls/connection.h"
#include "tls/server_context.h"

namespace ntp::tls {

class ServerConnection : public Connection {
 public:
  explicit ServerConnection(const ServerContext& context);
};

}  // namespace ntp::tls

#include "tls/server_connection.h"

#include <openssl/ssl.h>

namespace ntp::tls {

ServerConnection::ServerConnection(const ServerContext& context)
    : Connection(SSL_new(context.get())) {
  SSL_set_accept_state(ssl());
}

}  // namespace ntp::tls

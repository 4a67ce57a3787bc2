// Who holds a port, as far as /proc tells.
#pragma once

#include <string>

#include "base/ip.h"

namespace ntp::os {

// "chronyd (pid 812)" for another process with a UDP socket that takes datagrams to the endpoint;
// "another process" when a socket is there but its owner is not to be seen from here; empty when
// there are no more than the `own` sockets that this process has there.
std::string udp_port_owner(const Endpoint& endpoint, std::size_t own);

// Whether more than the `own` sockets of this process take datagrams to the endpoint.
bool udp_port_shared(const Endpoint& endpoint, std::size_t own);

}  // namespace ntp::os

// Who holds a port, as far as /proc tells.
#pragma once

#include <string>

#include "base/ip.h"

namespace ntp::os {

// "chronyd (pid 812)" for another process with a UDP socket bound to the endpoint's port and to
// its address or the wildcard; "another process" when a socket is there but its owner is not to be
// seen from here; empty when there is none. Sockets of this process are passed over.
std::string udp_port_owner(const Endpoint& endpoint);

}  // namespace ntp::os

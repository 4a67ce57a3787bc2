// Who holds a port, as far as /proc tells.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"

namespace ntp::os {

// "chronyd (pid 812)" for another process with a UDP socket that takes datagrams to the endpoint;
// "another process" when a socket is there but its owner is not to be seen from here; empty when
// there are only the `own` sockets of this process.
std::string udp_port_owner(const Endpoint& endpoint, const std::vector<std::uint64_t>& own);

// Whether others than the `own` sockets of this process take datagrams to the endpoint.
bool udp_port_shared(const Endpoint& endpoint, const std::vector<std::uint64_t>& own);

// The name of a socket in /proc/net; 0 when `fd` is none.
std::uint64_t socket_inode(int fd) noexcept;

}  // namespace ntp::os

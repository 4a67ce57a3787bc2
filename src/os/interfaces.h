// The addresses of this machine's interfaces.
#pragma once

#include <vector>

#include "base/ip.h"

namespace ntp::os {

// Of all that are up, loopback's too; empty where the kernel does not tell. Without zones.
std::vector<IpAddress> interface_addresses();

}  // namespace ntp::os

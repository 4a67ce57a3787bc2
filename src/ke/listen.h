// The TCP sockets of key establishment.
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "base/ip.h"
#include "os/error.h"
#include "os/fd.h"

namespace ntp::ke {

// Bound but not listening: as long as there is nothing to answer with, connections are refused at
// once. Non-blocking, closed on exec; SO_REUSEPORT, so that a successor can be there before we go.
// `uid` is who will own them once root is given up: the kernel lets only sockets of one user share.
std::expected<os::Fd, os::Error> bind_tcp(const Endpoint& endpoint, std::uint32_t uid);

// All of them, or none. With `tolerant` a family that the machine lacks is passed over as long as
// one endpoint remains.
std::expected<std::vector<os::Fd>, os::Error> bind_all(const std::vector<Endpoint>& endpoints,
                                                       bool tolerant, std::uint32_t uid);

}  // namespace ntp::ke

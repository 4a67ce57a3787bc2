// One NTP exchange over a UDP socket of its own, for people who ask and for nobody's clock.
#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <vector>

#include "base/ip.h"
#include "client/exchange.h"
#include "client/nts_session.h"
#include "os/error.h"

namespace ntp::os {

// All addresses of a name (or of a written address), as the system's resolver orders them. The
// error text is the resolver's. Blocks as long as the resolver does.
std::expected<std::vector<Endpoint>, std::string> resolve(const std::string& host,
                                                          std::uint16_t port);

// Asks from a fresh random port with a fresh random nonce, and waits for the matching answer;
// whatever else arrives is passed over. The offset is against CLOCK_REALTIME. With `nts`, whose
// keys have been established, nothing counts that they do not prove.
std::expected<client::Measurement, std::string> exchange(const Endpoint& server,
                                                         std::chrono::nanoseconds timeout,
                                                         client::NtsSession* nts = nullptr);

}  // namespace ntp::os

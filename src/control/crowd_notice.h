// What the log says of an address that many clients seem to share (server/rate_limit.h). Pure.
#pragma once

#include <optional>
#include <string>

#include "base/ip.h"
#include "base/time.h"
#include "server/rate_limit.h"

namespace ntp::control {

// Of each address once, and of another one only after an hour: whoever forges addresses must not
// write the log.
class CrowdNotice {
 public:
  // `limit`: rate.limit. A line for the log, where there is something to say.
  std::optional<std::string> look(const server::RateView& rate, int limit, RawTime now);

 private:
  IpAddress told_{};
  RawTime silence_until_{};
};

}  // namespace ntp::control

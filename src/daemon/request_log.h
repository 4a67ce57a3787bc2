// The lines about requests (log.requests), as many as the limit allows. Service thread only.
#pragma once

#include "control/log_format.h"
#include "daemon/log.h"
#include "daemon/workers.h"

namespace ntp::daemon {

class RequestLog {
 public:
  // Prints what the workers have noted since the last time.
  void print(const Workers& workers, RawTime now, Log& log);

 private:
  control::LogLimiter limiter_;
};

}  // namespace ntp::daemon

#include "daemon/request_log.h"

#include <fmt/format.h>

#include <utility>

namespace ntp::daemon {
namespace {

void tell_suppressed(const control::LogLimiter::Permit& permit, Log& log) {
  if (permit.suppressed == 0) return;
  log.info(fmt::format("suppressed {} lines about requests", permit.suppressed));
}

}  // namespace

void RequestLog::print(const Workers& workers, RawTime now, Log& log) {
  for (Worker* worker : workers.all()) {
    while (const auto note = worker->notes().pop()) {
      std::string line = note->received > 0 ? fmt::format("Received {} packets", note->received)
                                            : "Sent to " + to_string(note->sent_to);
      const auto permit = limiter_.ask(now);
      tell_suppressed(permit, log);
      if (permit.granted) log.info(std::move(line));
    }
    limiter_.add_suppressed(worker->take_dropped_notes());
  }
  tell_suppressed(limiter_.settle(now), log);
}

}  // namespace ntp::daemon

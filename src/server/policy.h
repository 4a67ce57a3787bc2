// What an operator decides about replies; re-read by every worker once a batch.
#pragma once

#include <cstdint>

#include "server/access.h"
#include "server/rate_limit.h"

namespace ntp::server {

struct Policy {
  std::int8_t poll_minimum = -6;  // log2 seconds; golden rule G16
  bool log_requests = false;      // push a Note of every batch and reply into the worker's ring
  std::uint64_t probe_xmt = 0;  // transmit stamp of the self-probe under way, 0 when there is none
  RateRules rate{};
  // Of the listener that asks, which sets it itself; null: everybody is answered. Borrowed for the
  // batch.
  const AccessTable* access = nullptr;
};

}  // namespace ntp::server

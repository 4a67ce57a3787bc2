// What the threads share: values, never live objects.
#pragma once

#include "base/published.h"
#include "server/policy.h"
#include "server/state.h"

namespace ntp::daemon {

struct Served {
  Published<server::ServerState> state{server::ServerState{}};  // written by the timekeeper
  Published<server::Policy> policy{server::Policy{}};           // written by the service
};

}  // namespace ntp::daemon

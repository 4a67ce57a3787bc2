// What the threads share: values, never live objects (the gate is one atomic number).
#pragma once

#include "base/published.h"
#include "server/policy.h"
#include "server/state.h"

namespace ntp::daemon {

struct Served {
  Published<server::ServerState> state{server::ServerState{}};  // written by the timekeeper
  Published<server::Policy> policy{server::Policy{}};           // written by the service
  server::KissGate kisses;                                      // of all workers
};

}  // namespace ntp::daemon

// What the process of key establishment and its keeper shut themselves into.
#pragma once

#include "ke/client.h"
#include "ke/server.h"
#include "os/confinement.h"

namespace ntp::ke {

// The files that the process reads once it runs: those of the plan, wherever they are moved to by
// renaming and by exchanging links. Nothing is written. That for our clients neither binds nor
// connects to a port; that for our sources connects to their ports.
os::Reach reach_of(const Plan& plan);
os::Reach reach_of(const ClientPlan& plan);

// Of the calling process. In the keeper before its first fork: a filter that its child needs too.
// In the child, once everything is open.
void shut_in_keeper(const Plan& plan);
void shut_in_keeper(const ClientPlan& plan);
os::Confinement shut_in(const Plan& plan);
os::Confinement shut_in(const ClientPlan& plan);

}  // namespace ntp::ke

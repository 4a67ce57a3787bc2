// What the process of key establishment and its keeper shut themselves into.
#pragma once

#include "ke/server.h"
#include "os/confinement.h"

namespace ntp::ke {

// The files that the process reads once it runs: those of the plan, wherever they are moved to by
// renaming and by exchanging links. Nothing is written, and no port is bound or connected to.
os::Reach reach_of(const Plan& plan);

// Of the calling process. In the keeper before its first fork: a filter that its child needs too.
// In the child, once everything is open.
os::Confinement shut_in_keeper(const Plan& plan);
os::Confinement shut_in(const Plan& plan);

}  // namespace ntp::ke

// The process of key establishment, and its keeper, which starts it again should it crash.
//
//   server ──channel──┬─ keeper          one thread; waits; the only one that forks
//                     └─ the process     TLS, and nothing else
//
// The keeper is forked before the server starts any thread and after it has given up its
// privileges. Both die with the server: by signal (PR_SET_PDEATHSIG), and by the end of stream on
// the channel, which is also how they are told to end in order.
#pragma once

#include <sys/types.h>

#include <expected>

#include "ke/server.h"
#include "os/error.h"
#include "os/fd.h"

namespace ntp::ke {

struct Child {
  os::Fd channel{};  // SOCK_SEQPACKET, non-blocking, ours (ke/message.h)
  pid_t keeper = -1;
};

// The listeners stay open here as well: while the process is started again, who connects waits in
// their queues.
std::expected<Child, os::Error> start_process(const Plan& plan);

}  // namespace ntp::ke

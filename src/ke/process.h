// The two processes of key establishment, and their keepers, which start them again should they
// crash: one for our clients (ke/server.h), and one that is a client for our sources
// (ke/client.h), so that whom we ask never shares memory with what our own clients trust.
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

#include "ke/client.h"
#include "ke/server.h"
#include "os/error.h"
#include "os/fd.h"

namespace ntp::ke {

struct Child {
  os::Fd channel{};  // SOCK_SEQPACKET, ours: read and written with MSG_DONTWAIT (ke/message.h,
                     // ke/client_message.h)
  pid_t keeper = -1;
};

// The listeners of the server's side stay open here as well: while the process is started again,
// who connects waits in their queues.
std::expected<Child, os::Error> start_process(const Plan& plan);
std::expected<Child, os::Error> start_process(const ClientPlan& plan);

// Tells the process to end. It may take its time over what it has begun.
void begin_stop(const Child& child) noexcept;
// Waits until the process and its keeper are gone, at most for `patience`: they are killed with us
// anyway. The sandbox would let us neither wait for a process nor end one; that both are gone is
// seen by the channel.
void finish_stop(Child& child, std::chrono::milliseconds patience) noexcept;

}  // namespace ntp::ke

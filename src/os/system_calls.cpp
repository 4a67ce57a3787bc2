#include "os/system_calls.h"

#include <sys/syscall.h>

#include <algorithm>
#include <array>

namespace ntp::os {
namespace {

constexpr std::uint8_t S = 1u << static_cast<int>(ThreadRole::service);
constexpr std::uint8_t T = S | 1u << static_cast<int>(ThreadRole::timekeeper);
constexpr std::uint8_t R = T | 1u << static_cast<int>(ThreadRole::resolver);
constexpr std::uint8_t kWorkerAlone = 1u << static_cast<int>(ThreadRole::worker);
constexpr std::uint8_t W = S | kWorkerAlone;
#ifdef SYS_poll
constexpr std::uint8_t kPpoll = R;
#else  // poll(3) is made of it
constexpr std::uint8_t kPpoll = R | W;
#endif

// The letter names the lowest thread that needs the call; T and R include those above. Where a call
// has an older and a newer form, libc and the architecture decide which one is used.
// clang-format off
constexpr std::array kCalls{
    // The packet path and the end of a worker.
    SystemCall{"recvmmsg", T | W},
    SystemCall{"sendmmsg", R | W},             // the resolver sends two questions at once
    SystemCall{"clock_gettime", R | W},        // where the vDSO cannot answer
#ifdef SYS_poll
    SystemCall{"poll", R | W},
#endif
    SystemCall{"ppoll", kPpoll},
    SystemCall{"connect", R | W},              // a worker: leave_choice_of_receivers()
    SystemCall{"getsockname", R | W},
    SystemCall{"futex", R | W},
    SystemCall{"restart_syscall", R | W},
    SystemCall{"rt_sigprocmask", R | W},
    SystemCall{"rt_sigreturn", R | W},
    SystemCall{"madvise", R | W},              // the end of a thread gives its stack back
    SystemCall{"munmap", R | W},
    SystemCall{"exit", R | W},
    // NTP_CHECK: says what is wrong and aborts.
    SystemCall{"write", kWorkerAlone, Allowed::standard_error},
    SystemCall{"getpid", R | W},
    SystemCall{"gettid", R | W},
    SystemCall{"tgkill", R | W, Allowed::own_process},

    // Memory.
    SystemCall{"brk", R | W},                  // a worker frees what started it
    SystemCall{"mmap", R | W, Allowed::no_exec},
    SystemCall{"mprotect", R | W, Allowed::no_exec},
    SystemCall{"mremap", R},
    // Files.
    SystemCall{"openat", R},
    SystemCall{"close", R},
    SystemCall{"read", R},
    SystemCall{"write", R},
    SystemCall{"writev", R},                   // the resolver over TCP
    SystemCall{"lseek", R},
    SystemCall{"fstat", R},
    SystemCall{"newfstatat", R},
    SystemCall{"fcntl", R},
    SystemCall{"ioctl", R, Allowed::ask_bytes},
    SystemCall{"rename", T},
    SystemCall{"renameat", T},
    SystemCall{"fsync", T},                    // cookie keys, cookies
    SystemCall{"getdents64", S},               // conf.d
    SystemCall{"readlink", S},                 // whose socket holds a port
    SystemCall{"readlinkat", S},
    SystemCall{"unlink", T},                   // the health channel; a secret that could not be written
    SystemCall{"unlinkat", T},
    SystemCall{"umask", S},
    // Networks: names, sources, interfaces; HTTP, the health channel, systemd, new listeners.
    SystemCall{"socket", R, Allowed::ip_unix_route},
    SystemCall{"bind", R},
    SystemCall{"setsockopt", R},
    SystemCall{"getsockopt", R},
    SystemCall{"getpeername", R},
    SystemCall{"sendto", R},
    SystemCall{"recvfrom", R},
    SystemCall{"sendmsg", R},
    SystemCall{"recvmsg", R},
    SystemCall{"listen", S},
    SystemCall{"accept4", S},
    SystemCall{"shutdown", S},
    SystemCall{"membarrier", S},
    SystemCall{"setfsuid", S},                 // of new listeners; without privilege it does nothing
    // Clocks and chance.
    SystemCall{"adjtimex", T},
    SystemCall{"clock_adjtime", T},            // how newer libraries do adjtimex
    SystemCall{"getrandom", R},
    SystemCall{"eventfd2", T},
    // Threads, and what they give up.
    SystemCall{"clone", T, Allowed::thread},
    SystemCall{"clone3", T, Allowed::not_there},
    SystemCall{"set_robust_list", T},
    SystemCall{"rseq", T},
    SystemCall{"seccomp", T, Allowed::add_filter},
    SystemCall{"capset", T},
    SystemCall{"rt_sigaction", R},             // abort(3)
    SystemCall{"sched_yield", R},
    SystemCall{"uname", R},                    // getaddrinfo
    SystemCall{"sysinfo", R},                  // qsort(3) of its answers
    SystemCall{"geteuid", S},
    SystemCall{"exit_group", R},
};
// clang-format on

static_assert(std::ranges::count_if(kCalls,
                                    [](const SystemCall& call) {
                                      return call.is_for(ThreadRole::worker);
                                    }) <= 20,
              "a worker needs few system calls, and each is one that an intruder has");

}  // namespace

std::span<const SystemCall> system_calls() noexcept { return kCalls; }

}  // namespace ntp::os

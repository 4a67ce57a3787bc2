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
constexpr std::uint8_t kKeeperAlone = 1u << static_cast<int>(ThreadRole::keeper);
constexpr std::uint8_t kClientKeeperAlone = 1u << static_cast<int>(ThreadRole::client_keeper);
constexpr std::uint8_t P = kKeeperAlone | kClientKeeperAlone;
constexpr std::uint8_t kServerAlone = 1u << static_cast<int>(ThreadRole::key_establishment);
constexpr std::uint8_t kClientAlone = 1u << static_cast<int>(ThreadRole::key_client);
constexpr std::uint8_t kKeAlone = kServerAlone | kClientAlone;
constexpr std::uint8_t K = P | kKeAlone;
constexpr std::uint8_t KS = kKeeperAlone | kServerAlone;
constexpr std::uint8_t KC = kClientKeeperAlone | kClientAlone;
#ifdef SYS_poll
constexpr std::uint8_t kPpoll = R | P;
#else  // poll(3) is made of it
constexpr std::uint8_t kPpoll = R | W | P | kClientAlone;
#endif

// The letter names the lowest thread that needs the call; T and R include those above. P are the
// keepers, K key establishment with its keeper, KS for our clients only, KC for our sources. Where
// a call has an older and a newer form, libc and the architecture decide which one is used.
// clang-format off
constexpr std::array kCalls{
    // The packet path and the end of a worker.
    SystemCall{"recvmmsg", T | W},
    SystemCall{"sendmmsg", R | W},             // the resolver sends two questions at once
    SystemCall{"clock_gettime", R | W | K},    // where the vDSO cannot answer
#ifdef SYS_poll
    SystemCall{"poll", R | W | P | kClientAlone},
#endif
    SystemCall{"ppoll", kPpoll},
    SystemCall{"connect", R | W | KC},         // a worker: leave_choice_of_receivers()
    SystemCall{"getsockname", R | W},
    SystemCall{"futex", R | W | K},
    SystemCall{"restart_syscall", R | W | P},
    SystemCall{"rt_sigprocmask", R | W | K},
    SystemCall{"rt_sigreturn", R | W | K},
    SystemCall{"madvise", R | W | P},          // the end of a thread gives its stack back
    SystemCall{"munmap", R | W | K},
    SystemCall{"exit", R | W},
    // NTP_CHECK: says what is wrong and aborts.
    SystemCall{"write", kWorkerAlone | kKeAlone, Allowed::standard_error},
    SystemCall{"getpid", R | W | K},
    SystemCall{"gettid", R | W | K},
    SystemCall{"tgkill", R | W | kKeAlone, Allowed::own_process},
    SystemCall{"tgkill", P},                   // of its child

    // Memory.
    SystemCall{"brk", R | W | K},              // a worker frees what started it
    SystemCall{"mmap", R | W | K, Allowed::no_exec},
    SystemCall{"mprotect", R | W, Allowed::no_exec},
    SystemCall{"mremap", R | K},
    // Files.
    SystemCall{"openat", R | K},
    SystemCall{"close", R | K},
    SystemCall{"read", R | K},
    SystemCall{"write", R | P},
    SystemCall{"writev", R},                   // the resolver over TCP
    SystemCall{"lseek", R | P},                // the end of reading a time zone
    SystemCall{"fstat", R | K},
    SystemCall{"newfstatat", R | K},
    SystemCall{"fcntl", R},
    SystemCall{"ioctl", R, Allowed::ask_bytes},
    SystemCall{"rename", T},
    SystemCall{"renameat", T},
    SystemCall{"fsync", T},                    // cookie keys, cookies
    SystemCall{"getdents64", S},               // conf.d
    SystemCall{"readlink", S | P},             // whose socket holds a port
    SystemCall{"readlinkat", S | P},
    SystemCall{"unlink", T},                   // the health channel; a secret that could not be written
    SystemCall{"unlinkat", T},
    SystemCall{"umask", S},
    // Networks: names, sources, interfaces; HTTP, the health channel, systemd, new listeners.
    SystemCall{"socket", R, Allowed::ip_unix_route},
    SystemCall{"socket", KC, Allowed::ip},
    SystemCall{"bind", R},
    SystemCall{"setsockopt", R | K},
    SystemCall{"getsockopt", R | KC},
    SystemCall{"getpeername", R | KC},
    SystemCall{"sendto", R | K},
    SystemCall{"recvfrom", R | K},
    SystemCall{"sendmsg", R},
    SystemCall{"recvmsg", R},
    SystemCall{"listen", S | KS},
    SystemCall{"accept4", S | KS},
    SystemCall{"shutdown", S | KS},
    SystemCall{"membarrier", S},
    SystemCall{"setfsuid", S},                 // of new listeners; without privilege it does nothing
    // Clocks and chance.
    SystemCall{"adjtimex", T},
    SystemCall{"clock_adjtime", T},            // how newer libraries do adjtimex
    SystemCall{"getrandom", R | K},
    SystemCall{"eventfd2", T},
    // Threads, and what they give up.
    SystemCall{"clone", T, Allowed::thread},
    SystemCall{"clone3", T | P, Allowed::not_there},
    SystemCall{"set_robust_list", T | P},
    SystemCall{"rseq", T},
    SystemCall{"seccomp", T | P, Allowed::add_filter},
    SystemCall{"capset", T},
    SystemCall{"rt_sigaction", R | P},         // abort(3)
    SystemCall{"sched_yield", R},
    SystemCall{"uname", R},                    // getaddrinfo
    SystemCall{"sysinfo", R | P},                // qsort(3): of its answers, of filters
    SystemCall{"geteuid", S | K},
    SystemCall{"exit_group", R | K},
    // Key establishment and its keeper.
    SystemCall{"epoll_ctl", KS},
#ifdef SYS_epoll_wait
    SystemCall{"epoll_wait", KS},
    SystemCall{"epoll_pwait", kKeeperAlone},   // newer libraries may make the other of it
#else
    SystemCall{"epoll_pwait", KS},
#endif
    SystemCall{"fstatfs", K},                  // on what mount a key lies
#ifdef SYS_time
    SystemCall{"time", K},                     // OpenSSL, where the vDSO cannot answer
#endif
    // What the keeper does, and its child before it has a filter of its own.
    SystemCall{"clone", P, Allowed::process},
    SystemCall{"wait4", P},
    SystemCall{"prctl", P},
    SystemCall{"capget", P},
    SystemCall{"getppid", P},
    SystemCall{"setpriority", P},
    SystemCall{"prlimit64", P},
    SystemCall{"epoll_create1", kKeeperAlone},
    SystemCall{"getcwd", P},
    SystemCall{"landlock_create_ruleset", P},
    SystemCall{"landlock_add_rule", P},
    SystemCall{"landlock_restrict_self", P},
    SystemCall{"memfd_create", P},             // libseccomp's programs
    SystemCall{"pread64", P},
};
// clang-format on

constexpr auto count_of(ThreadRole role) {
  return std::ranges::count_if(kCalls,
                               [role](const SystemCall& call) { return call.is_for(role); });
}
static_assert(count_of(ThreadRole::worker) <= 20,
              "a worker needs few system calls, and each is one that an intruder has");
static_assert(count_of(ThreadRole::key_establishment) <= 30 &&
                  count_of(ThreadRole::key_client) <= 30,
              "it reads what anybody sends, before anything is known of him");
// The filter of a keeper is its child's as well.
constexpr bool keeps(ThreadRole keeper, ThreadRole child) {
  return std::ranges::all_of(kCalls, [=](const SystemCall& call) {
    return !call.is_for(child) || std::ranges::any_of(kCalls, [&](const SystemCall& other) {
      return other.name == call.name && other.is_for(keeper) &&
             (other.allowed == call.allowed || other.allowed == Allowed::any);
    });
  });
}
static_assert(keeps(ThreadRole::keeper, ThreadRole::key_establishment));
static_assert(keeps(ThreadRole::client_keeper, ThreadRole::key_client));

}  // namespace

std::span<const SystemCall> system_calls() noexcept { return kCalls; }

}  // namespace ntp::os

// Which system calls the threads of the server need once it has started, by role. Data; the filter
// that is made of it is os/seccomp.h.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace ntp::os {

// A thread's filter comes on top of that of the thread which started it. So `service`, the main
// thread, may do what any other may; the resolver is started by the timekeeper. The last four are
// processes of one thread: a keeper, which forks one of key establishment, may do what that may.
enum class ThreadRole : std::uint8_t {
  service,
  timekeeper,
  resolver,
  worker,
  keeper,
  key_establishment,
  client_keeper,
  key_client
};
inline constexpr std::size_t kThreadRoles = 8;
inline constexpr std::string_view kThreadRoleNames[kThreadRoles] = {
    "service", "timekeeper",        "resolver",           "worker",
    "keeper",  "key establishment", "keeper for sources", "key establishment with sources"};

constexpr bool is_process(ThreadRole role) noexcept { return role >= ThreadRole::keeper; }

// What its arguments have to be. `any` is decided by the kernel from a table; the others cost the
// run of a small program.
enum class Allowed : std::uint8_t {
  any,
  no_exec,         // mmap, mprotect: no PROT_EXEC
  thread,          // clone: CLONE_THREAD, so no process
  process,         // clone: no thread, nothing shared, in the same namespaces
  not_there,       // clone3, whose flags no filter can see: ENOSYS, and libc takes clone
  own_process,     // tgkill: to our own threads
  add_filter,      // seccomp: SECCOMP_SET_MODE_FILTER
  ip_unix_route,   // socket: AF_INET, AF_INET6, AF_UNIX, AF_NETLINK
  ip,              // socket: AF_INET, AF_INET6
  ask_bytes,       // ioctl: FIONREAD, TCGETS
  standard_error,  // write: to descriptor 2
};

struct SystemCall {
  std::string_view name;   // one that the architecture does not have is passed over
  std::uint8_t roles = 0;  // bits by ThreadRole
  Allowed allowed = Allowed::any;

  constexpr bool is_for(ThreadRole role) const noexcept {
    return (roles >> static_cast<int>(role) & 1) != 0;
  }
};

std::span<const SystemCall> system_calls() noexcept;

}  // namespace ntp::os

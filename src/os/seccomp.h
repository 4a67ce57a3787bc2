// Filters of system calls (seccomp), made of the list in os/system_calls.h by libseccomp.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "os/error.h"
#include "os/system_calls.h"

namespace ntp::os {

// Sanitizers and coverage have calls, threads and files of their own: such builds allow every role
// what any may do and more, and refuse the rest without a word. What is handed out is not like
// that.
#ifdef NTP_INSTRUMENTED
inline constexpr bool kInstrumented = true;
#else
inline constexpr bool kInstrumented = false;
#endif

// Puts the calling thread, which has to be the only one, under the filter of `role`: that of
// `service`, for which those of the other threads are made as well, or of a process. Needs
// PR_SET_NO_NEW_PRIVS. On an error nothing is filtered, then and later.
//
// Whether the kernel runs the filter is tried: it has to answer one harmless call with a number
// that only the filter of this role has, and to refuse another that is on no list (not where that
// would end the process). What does not hold is an error as well.
//
// A call that is not on the list fails with EPERM and is remembered for take_refused_calls(). In a
// worker and in key establishment, which have no reason for one, it ends the process by SIGSYS.
std::expected<void, Error> confine_process(ThreadRole role = ThreadRole::service);

// The calling thread takes on its role; nothing where confine_process() is not in force. SIGSYS
// must not be blocked. Where the kernel refuses, or the filter does not answer, the thread
// keeps the filter of the one that started it.
void confine_thread(ThreadRole role) noexcept;
std::uint64_t unconfined_threads() noexcept;  // to which that has happened

struct RefusedCall {
  ThreadRole role{};
  std::string name{};  // "ptrace", or its number
};
// Each call of each role once, since the last time. One thread at a time.
std::vector<RefusedCall> take_refused_calls();
std::uint64_t refused_calls() noexcept;  // all of them

}  // namespace ntp::os

// What the machine (or the container) grants: processors, time zone, randomness, signals.
#pragma once

#include <pthread.h>

#include <cstdint>
#include <string>

namespace ntp::os {

// min(processors that we may run on, ceil(cgroup CPU quota), 8), at least 1.
int automatic_workers();

// An explanation when $TZ names a zone that the C library does not know (it then silently takes
// UTC), else empty.
std::string time_zone_problem();

// Seconds east of UTC of the local time zone at a Unix time.
int utc_offset_s(std::int64_t unix_s) noexcept;

// Of this start of the kernel; empty where it is not told.
std::string boot_id();

// From the kernel; falls back to the clock where it has none yet. Not for secrets.
std::uint64_t random_seed() noexcept;

// SIGTERM and SIGINT set a flag, SIGHUP another; poll(2) then returns EINTR. Ignores SIGPIPE.
void install_signal_flags() noexcept;
bool stop_requested() noexcept;
bool take_reload_request() noexcept;

// Keeps signals away from a thread: they belong to the main one. Only wake_thread() still reaches
// it. Call first in the thread.
void block_signals() noexcept;

// Makes a system call that `thread` waits in return EINTR. It may come just before the call: repeat
// until the thread has noticed whatever it is to notice.
void wake_thread(pthread_t thread) noexcept;

}  // namespace ntp::os

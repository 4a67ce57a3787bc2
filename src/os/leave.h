// How a forked child ends: without what exit() would do in the name of its parent.
#pragma once

#include <unistd.h>

#ifdef NTP_COVERAGE
extern "C" void __gcov_dump();  // NOLINT: gcov's name
#endif

namespace ntp::os {

[[noreturn]] inline void leave(int status) noexcept {
#ifdef NTP_COVERAGE
  __gcov_dump();  // what _exit() would lose
#endif
  ::_exit(status);
}

}  // namespace ntp::os

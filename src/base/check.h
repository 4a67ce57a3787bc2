// NTP_CHECK: our own bug, found at run time. On in release: a wrong reply is worse than none.
#pragma once

namespace ntp {

// Prints "file:line: what" to standard error and aborts. Never returns, never allocates.
[[noreturn]] void check_failed(const char* file, int line, const char* what) noexcept;

}  // namespace ntp

#define NTP_CHECK(condition)                                    \
  do {                                                          \
    if (!(condition)) [[unlikely]]                              \
      ::ntp::check_failed(__FILE_NAME__, __LINE__, #condition); \
  } while (false)

#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif

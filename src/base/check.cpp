#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace ntp {

void check_failed(const char* file, int line, const char* what) noexcept {
  std::fprintf(stderr, "ntp-server: bug: %s:%d: check failed: %s\n", file, line, what);
  std::abort();
}

}  // namespace ntp

#include "os/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"

namespace ntp::os {

std::uint64_t KernelRandom::next() {
  std::uint64_t value = 0;
  ssize_t size = 0;
  do {  // waits at most until the kernel has gathered enough, once after boot
    size = ::getrandom(&value, sizeof value, 0);
  } while (size != sizeof value && errno == EINTR);
  NTP_CHECK(size == sizeof value);
  return value;
}

}  // namespace ntp::os

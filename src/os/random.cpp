#include "os/random.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"
#include "os/fd.h"

namespace ntp::os {

namespace {

// Where a sandbox or simulator lacks getrandom(2).
bool read_device(std::uint64_t& value) {
  const Fd fd(::open("/dev/urandom", O_RDONLY | O_CLOEXEC));
  return fd && ::read(fd.get(), &value, sizeof value) == sizeof value;
}

}  // namespace

std::uint64_t KernelRandom::next() {
  std::uint64_t value = 0;
  ssize_t size = 0;
  do {  // waits at most until the kernel has gathered enough, once after boot
    size = ::getrandom(&value, sizeof value, 0);
  } while (size != sizeof value && errno == EINTR);
  NTP_CHECK(size == sizeof value || read_device(value));  // no nonce is better than a guessable one
  return value;
}

}  // namespace ntp::os

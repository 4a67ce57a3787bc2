/* Preloaded under the unmodified program by the system tests: stands in for the kernel's opinion of
 * its clock, and can step CLOCK_REALTIME, both as a shared file says (see harness.py, FakeKernel). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

struct fake {
  int32_t fails;      /* errno of adjtimex, or 0 */
  int32_t status;     /* STA_* */
  int32_t state;      /* TIME_* */
  int32_t tai;
  int64_t maxerror_us;
  int64_t esterror_us;
  int64_t offset;     /* in the unit that status says */
  int64_t step_ns;    /* added to CLOCK_REALTIME */
  int64_t slept_ns;   /* added to CLOCK_BOOTTIME */
  int64_t adjtime_us; /* what an adjtime(3) has left to slew */
};

static volatile struct fake* shared(void) {
  static volatile struct fake* fake;
  if (fake == NULL) {
    const char* path = getenv("FAKE_KERNEL");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) abort();
    fake = mmap(NULL, sizeof *fake, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (fake == MAP_FAILED) abort();
  }
  return fake;
}

int adjtimex(struct timex* t) {
  volatile struct fake* fake = shared();
  if (t->modes != 0 && t->modes != ADJ_OFFSET_SS_READ) abort(); /* the program may only look */
  if (fake->fails != 0) {
    errno = fake->fails;
    return -1;
  }
  if (t->modes == ADJ_OFFSET_SS_READ) {
    t->offset = fake->adjtime_us;
    return 0;
  }
  t->status = fake->status;
  t->maxerror = fake->maxerror_us;
  t->esterror = fake->esterror_us;
  t->offset = fake->offset;
  t->tai = fake->tai;
  return (fake->status & STA_UNSYNC) != 0 ? TIME_ERROR : fake->state;
}

/* The program under test may only look. */
int clock_settime(clockid_t id, const struct timespec* t) { (void)id; (void)t; abort(); }
int settimeofday(const struct timeval* t, const struct timezone* z) { (void)t; (void)z; abort(); }
int adjtime(const struct timeval* t, struct timeval* old) { (void)t; (void)old; abort(); }
int clock_adjtime(clockid_t id, struct timex* t) { (void)id; return adjtimex(t); }
int ntp_adjtime(struct timex* t) { return adjtimex(t); }

/* Not by dlsym(3): sanitizers ask for the time before it may be called. */
int clock_gettime(clockid_t id, struct timespec* t) {
  int result = (int)syscall(SYS_clock_gettime, id, t);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_BOOTTIME)) {
    int64_t add = id == CLOCK_REALTIME ? shared()->step_ns : shared()->slept_ns;
    int64_t ns = t->tv_nsec + add % 1000000000;
    t->tv_sec += add / 1000000000 + (ns >= 1000000000) - (ns < 0);
    t->tv_nsec = (ns + 1000000000) % 1000000000;
  }
  return result;
}

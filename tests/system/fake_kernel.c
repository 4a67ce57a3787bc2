/* Preloaded under the unmodified program by the system tests: stands in for the kernel's opinion of
 * its clock, and can step CLOCK_REALTIME, both as a shared file says (see harness.py, FakeKernel).
 * Nothing is ever passed on to the real kernel. Where the file allows it the program may set this clock:
 * then CLOCK_REALTIME is CLOCK_MONOTONIC_RAW at the rate that was set, and the program gets no stamps of
 * datagrams, which the real kernel would make with another clock. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
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
  int32_t settable;   /* the program may set the clock */
  int32_t refuses;    /* errno of setting it, or 0 */
  int64_t tick;       /* as in struct timex */
  int64_t freq;
  int64_t raw_ns;     /* CLOCK_REALTIME was real_ns at this CLOCK_MONOTONIC_RAW; 0: not yet begun */
  int64_t real_ns;
  int64_t steps;      /* by the program */
  int64_t writes;
};

static volatile struct fake* shared(void) {
  static volatile struct fake* fake;
  if (fake == NULL) {
    const char* path = getenv("FAKE_KERNEL");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) abort();
    fake = mmap(NULL, sizeof *fake, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (fake == MAP_FAILED) abort();
  }
  return fake;
}

static int64_t real_clock(clockid_t id) {
  struct timespec t;
  syscall(SYS_clock_gettime, id, &t);
  return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

/* The steered clock, without step_ns. One program at a time sets it, in one thread. */
static int64_t steered_ns(volatile struct fake* fake, int64_t raw_ns) {
  double rate = (double)(fake->tick - 10000) * 1e-4 + (double)fake->freq / 65536e6;
  double elapsed = (double)(raw_ns - fake->raw_ns);
  return fake->real_ns + (raw_ns - fake->raw_ns) + (int64_t)(elapsed * rate);
}

static void begin(volatile struct fake* fake) {
  if (fake->raw_ns != 0) return;
  fake->real_ns = real_clock(CLOCK_REALTIME);
  fake->raw_ns = real_clock(CLOCK_MONOTONIC_RAW);
}

static void rebase(volatile struct fake* fake) {
  int64_t raw = real_clock(CLOCK_MONOTONIC_RAW);
  fake->real_ns = steered_ns(fake, raw);
  fake->raw_ns = raw;
}

/* What the kernel does with each mode (adjtimex(2)); a mode that is not known here ends the test. */
static int set(volatile struct fake* fake, struct timex* t) {
  const unsigned known = ADJ_FREQUENCY | ADJ_TICK | ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR | ADJ_TAI | ADJ_SETOFFSET | ADJ_NANO;
  if (!fake->settable || (t->modes & ~known) != 0) abort();
  if (fake->refuses != 0) {
    errno = fake->refuses;
    return -1;
  }
  begin(fake);
  rebase(fake);
  if (t->modes & ADJ_SETOFFSET) {
    int64_t most = (t->modes & ADJ_NANO) ? 1000000000 : 1000000;
    if (t->time.tv_usec < 0 || t->time.tv_usec >= most) { errno = EINVAL; return -1; }
    fake->real_ns += t->time.tv_sec * (int64_t)1000000000 + t->time.tv_usec * (1000000000 / most);
    fake->steps++;
    fake->maxerror_us = fake->esterror_us = 16000000;
    fake->status |= STA_UNSYNC;
  }
  if (t->modes & ADJ_TICK) {
    if (t->tick < 9000 || t->tick > 11000) { errno = EINVAL; return -1; }
    fake->tick = t->tick;
  }
  if (t->modes & ADJ_FREQUENCY) {
    const int64_t most = (int64_t)500 << 16;
    fake->freq = t->freq > most ? most : t->freq < -most ? -most : t->freq;
  }
  if (t->modes & ADJ_STATUS) fake->status = t->status;
  if (t->modes & ADJ_MAXERROR) fake->maxerror_us = t->maxerror;
  if (t->modes & ADJ_ESTERROR) fake->esterror_us = t->esterror;
  if (t->modes & ADJ_TAI) fake->tai = t->constant;
  fake->writes++;
  return 0;
}

int adjtimex(struct timex* t) {
  volatile struct fake* fake = shared();
  if (t->modes != 0 && t->modes != ADJ_OFFSET_SS_READ && set(fake, t) != 0) return -1;
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
  t->tick = fake->tick;
  t->freq = fake->freq;
  return (fake->status & STA_UNSYNC) != 0 ? TIME_ERROR : fake->state;
}

/* No program of ours sets the clock in these ways. */
int clock_settime(clockid_t id, const struct timespec* t) { (void)id; (void)t; abort(); }
int settimeofday(const struct timeval* t, const struct timezone* z) { (void)t; (void)z; abort(); }
int adjtime(const struct timeval* t, struct timeval* old) { (void)t; (void)old; abort(); }
int clock_adjtime(clockid_t id, struct timex* t) { (void)id; return adjtimex(t); }
int ntp_adjtime(struct timex* t) { return adjtimex(t); }

/* Not by dlsym(3): sanitizers ask for the time before it may be called. */
int clock_gettime(clockid_t id, struct timespec* t) {
  int result = (int)syscall(SYS_clock_gettime, id, t);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_BOOTTIME)) {
    volatile struct fake* fake = shared();
    int64_t add = id == CLOCK_REALTIME ? fake->step_ns : fake->slept_ns;
    if (id == CLOCK_REALTIME && fake->settable) {
      begin(fake);
      int64_t steered = steered_ns(fake, real_clock(CLOCK_MONOTONIC_RAW));
      t->tv_sec = steered / 1000000000;
      t->tv_nsec = steered % 1000000000;
    }
    int64_t ns = t->tv_nsec + add % 1000000000;
    t->tv_sec += add / 1000000000 + (ns >= 1000000000) - (ns < 0);
    t->tv_nsec = (ns + 1000000000) % 1000000000;
  }
  return result;
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  if (level == SOL_SOCKET && name == SO_TIMESTAMPNS && shared()->settable) return 0;
  return (int)syscall(SYS_setsockopt, fd, level, name, value, size);
}

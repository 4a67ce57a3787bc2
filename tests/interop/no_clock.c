/* Preloaded under time daemons that end when they may not set the clock: they are told that it is
 * set, and it is not. Reading the kernel's state goes through. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static int look(struct timex* t) {
  t->modes = 0;
  int state = (int)syscall(SYS_adjtimex, t);
  t->status &= ~(STA_UNSYNC | STA_PLL);
  return state == TIME_ERROR ? TIME_OK : state;
}

int adjtimex(struct timex* t) { return look(t); }
int ntp_adjtime(struct timex* t) { return look(t); }
int clock_adjtime(clockid_t id, struct timex* t) {
  (void)id;
  return look(t);
}
int settimeofday(const struct timeval* t, const struct timezone* zone) {
  (void)t, (void)zone;
  return 0;
}
int clock_settime(clockid_t id, const struct timespec* t) {
  (void)id, (void)t;
  return 0;
}
int adjtime(const struct timeval* delta, struct timeval* before) {
  (void)delta;
  if (before != NULL) before->tv_sec = before->tv_usec = 0;
  return 0;
}

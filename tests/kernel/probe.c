/* In the virtual machine: reads and sets the real kernel's clock by hand.
 *   probe                what adjtimex(2) says, and the clocks
 *   probe rate PPM       the frequency, as another program would leave it
 *   probe offset NS      a step
 *   probe watch SECONDS  the steps of CLOCK_REALTIME in that time, as seen every millisecond */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

static long long ns_of(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int ask(struct timex* t) {
  int state = adjtimex(t);
  if (state < 0) perror("adjtimex");
  return state;
}

static int watch(double seconds) {
  const long long end = ns_of(CLOCK_MONOTONIC_RAW) + (long long)(seconds * 1e9);
  long long lead = ns_of(CLOCK_REALTIME) - ns_of(CLOCK_MONOTONIC_RAW);
  while (ns_of(CLOCK_MONOTONIC_RAW) < end) {
    const struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
    const long long raw = ns_of(CLOCK_MONOTONIC_RAW), real = ns_of(CLOCK_REALTIME), now = real - raw;
    if (llabs(now - lead) > 50000000) {
      struct timex t = {0};
      int state = ask(&t);
      printf("step_ns=%lld before_ns=%lld state=%d tai=%d\n", now - lead, raw + lead, state, t.tai);
      fflush(stdout);
    }
    lead = now;
  }
  return 0;
}

int main(int count, char** words) {
  struct timex t = {0};
  if (count == 3 && strcmp(words[1], "watch") == 0) return watch(atof(words[2]));
  if (count == 3 && strcmp(words[1], "rate") == 0) {
    t.modes = ADJ_FREQUENCY;
    t.freq = (long)(atof(words[2]) * 65536);
  }
  if (count == 3 && strcmp(words[1], "offset") == 0) {
    const long long ns = atoll(words[2]), s = ns / 1000000000 - (ns % 1000000000 < 0);
    t.modes = ADJ_SETOFFSET | ADJ_NANO;
    t.time.tv_sec = s;
    t.time.tv_usec = ns - s * 1000000000;
  }
  const int state = ask(&t);
  printf("state=%d status=%d maxerror_us=%ld esterror_us=%ld freq=%ld tick=%ld tai=%d raw_ns=%lld real_ns=%lld\n", state, t.status, t.maxerror,
         t.esterror, t.freq, t.tick, t.tai, ns_of(CLOCK_MONOTONIC_RAW), ns_of(CLOCK_REALTIME));
  return state < 0;
}

/* What the campaign (calls.py) and its two helpers share, as one file that all map. */
#ifndef FAULTS_CONTROL_H
#define FAULTS_CONTROL_H

#include <stdint.h>

enum { kAllocations = 127 };

struct control {
  int32_t
      armed;    /* the program's own code runs: before that the loader's calls are nobody's fault */
  int32_t what; /* place of the call to fail in fail_call's list; kAllocations; -1: only count */
  int32_t error; /* errno that it gets */
  int32_t unused;
  int64_t first;      /* counted from 1 */
  int64_t last;       /* every call from first to last fails */
  int64_t failed;     /* how many did */
  int64_t calls[128]; /* how often each of the list was made, and memory asked for */
};

#endif

/* fail_call CONTROL CALL,CALL… PROGRAM [ARGUMENT…]: runs the unmodified program, and makes chosen
 * system calls of it fail as the file CONTROL says (control.h): whoever makes them, the C library
 * included. The program keeps this process's number; a child that shares nothing with it decides
 * (seccomp_unotify(2)). Needs Linux 5.19 and CAP_SYS_ADMIN. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum { kMost = 100, kStack = 65536 };

static const struct {
  const char* name;
  int number;
} known[] = {
#define CALL(name) {#name, SYS_##name}
    CALL(accept4),
    CALL(bind),
    CALL(capget),
    CALL(capset),
    CALL(clone),
    CALL(clone3),
    CALL(close),
    CALL(connect),
    CALL(eventfd2),
    CALL(fchdir),
    CALL(fchown),
    CALL(fchownat),
    CALL(fcntl),
    CALL(fstat),
    CALL(fsync),
    CALL(getdents64),
    CALL(getpeername),
    CALL(getrandom),
    CALL(getsockname),
    CALL(getsockopt),
    CALL(ioctl),
    CALL(listen),
    CALL(lseek),
    CALL(madvise),
    CALL(membarrier),
    CALL(mkdirat),
    CALL(mmap),
    CALL(mprotect),
    CALL(munmap),
    CALL(newfstatat),
    CALL(openat),
    CALL(ppoll),
    CALL(prctl),
    CALL(prlimit64),
    CALL(pwrite64),
    CALL(read),
    CALL(readlinkat),
    CALL(recvfrom),
    CALL(recvmmsg),
    CALL(recvmsg),
    CALL(renameat),
    CALL(renameat2),
    CALL(rt_sigaction),
    CALL(sched_getaffinity),
    CALL(sched_setaffinity),
    CALL(sendmmsg),
    CALL(sendmsg),
    CALL(sendto),
    CALL(setfsuid),
    CALL(setgid),
    CALL(setgroups),
    CALL(setresgid),
    CALL(setresuid),
    CALL(setsockopt),
    CALL(setuid),
    CALL(shutdown),
    CALL(socket),
    CALL(socketpair),
    CALL(pipe2),
    CALL(tgkill),
    CALL(timerfd_create),
    CALL(adjtimex),
    CALL(clock_adjtime),
    CALL(umask),
    CALL(unlinkat),
    CALL(uname),
    CALL(write),
    CALL(writev),
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_pwait),
    CALL(inotify_init1),
    CALL(inotify_add_watch),
    CALL(landlock_create_ruleset),
    CALL(landlock_add_rule),
    CALL(landlock_restrict_self),
    CALL(seccomp),
    CALL(statx),
    CALL(faccessat),
    CALL(wait4),
    CALL(execve),
    CALL(dup3),
    CALL(ftruncate),
    CALL(fdatasync),
#ifdef SYS_open /* calls that newer architectures lack */
    CALL(open),
    CALL(poll),
    CALL(stat),
    CALL(lstat),
    CALL(readlink),
    CALL(mkdir),
    CALL(unlink),
    CALL(rename),
    CALL(chown),
    CALL(access),
    CALL(epoll_wait),
    CALL(fork),
    CALL(vfork),
    CALL(pipe),
    CALL(dup2),
#endif
};

static struct control* control;
static int calls[kMost], number_of_calls;
static volatile int* handed; /* [0]: the listener; [1]: taken */

static void die(const char* what) {
  fprintf(stderr, "fail_call: %s: %s\n", what, strerror(errno));
  _exit(125);
}

static void parse(char* list) {
  for (char* name = strtok(list, ","); name != NULL; name = strtok(NULL, ",")) {
    if (number_of_calls == kMost) abort();
    calls[number_of_calls] = -1; /* what this architecture lacks keeps its place */
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
      if (strcmp(name, known[i].name) == 0) calls[number_of_calls] = known[i].number;
    }
    number_of_calls++;
  }
}

static int listen_to_calls(void) {
  struct sock_filter code[kMost + 4];
  unsigned short size = 0;
  code[size++] =
      (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (int i = 0; i < number_of_calls; ++i) {
    int to_the_end = number_of_calls - i;
    code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i],
                                                (unsigned char)to_the_end, 0);
  }
  code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  struct sock_fprog program = {.len = size, .filter = code};
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                      SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                      &program);
}

/* 0, or the errno that this call gets. */
static int decide(int number) {
  if (!control->armed) return 0;
  for (int i = 0; i < number_of_calls; ++i) {
    if (calls[i] != number) continue;
    int64_t now = ++control->calls[i];
    if (control->what != i || now < control->first || now > control->last) return 0;
    control->failed++;
    return control->error;
  }
  return 0;
}

static int supervise(void* unused) {
  (void)unused;
  prctl(PR_SET_NAME, "fail_call");
  while (handed[0] < 0) usleep(100);
  int listener = handed[0];
  if (unshare(CLONE_FILES) != 0) _exit(1);
  for (int fd = 0; fd < 64; ++fd) {
    if (fd != listener)
      close(fd); /* whoever waits for the end of the program's output shall see it */
  }
  handed[1] = 1;
  while (1) {
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    if (poll(&ready, 1, -1) < 0 && errno == EINTR) continue;
    if ((ready.revents & POLLIN) == 0) _exit(0); /* nobody is left */
    struct seccomp_notif question;
    memset(&question, 0, sizeof question);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0) continue;
    int error = decide(question.data.nr);
    struct seccomp_notif_resp answer = {.id = question.id, .error = -error};
    if (error == 0) answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fputs("usage: fail_call CONTROL CALL,CALL… PROGRAM [ARGUMENT…]\n", stderr);
    return 64;
  }
  int fd = open(argv[1], O_RDWR | O_CLOEXEC);
  if (fd < 0) die(argv[1]);
  control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  handed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char* stack = mmap(NULL, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (control == MAP_FAILED || handed == MAP_FAILED || stack == MAP_FAILED) die("mmap");
  close(fd);
  parse(argv[2]);
  handed[0] = -1;
  /* Descriptors are shared until the listener is handed over: no call that may be on the list is
   * needed for it. */
  if (clone(supervise, stack + kStack, CLONE_FILES, NULL) < 0) die("clone");
  int listener = listen_to_calls();
  if (listener < 0) die("seccomp");
  handed[0] = listener;
  while (!handed[1]) usleep(100);
  execvp(argv[3], argv + 3);
  die(argv[3]);
}

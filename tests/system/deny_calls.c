/* deny_calls ERROR CALL[,CALL…] PROGRAM ARGUMENTS…: runs a program for which the kernel has not got these
 * system calls: each fails with ERROR, by a filter that the program inherits. With OK for an error each does
 * nothing and says that all is well. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number_of(const char* error) {
  const struct { const char* name; int number; } known[] = {
      {"OK", 0}, {"EPERM", EPERM}, {"ENOSYS", ENOSYS}, {"EINVAL", EINVAL}, {"EACCES", EACCES}, {"EOPNOTSUPP", EOPNOTSUPP},
      {"ENOPROTOOPT", ENOPROTOOPT}, {"EBUSY", EBUSY}};
  for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
    if (strcmp(known[i].name, error) == 0) return known[i].number;
  }
  return -1;
}

/* libseccomp asks what the kernel has by calls without a third argument: these go through. */
static int add(scmp_filter_ctx filter, int error, int number, const char* call) {
  if (error != 0 || strcmp(call, "seccomp") != 0) return seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), number, 0);
  return seccomp_rule_add(filter, SCMP_ACT_ERRNO(0), number, 2, SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER), SCMP_A2(SCMP_CMP_NE, 0));
}

int main(int count, char** words) {
  int error = count > 3 ? number_of(words[1]) : -1;
  if (error < 0) return fprintf(stderr, "usage: deny_calls ERROR CALL[,CALL...] PROGRAM [ARGUMENTS]\n"), 64;
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  for (char* call = strtok(words[2], ","); call != NULL; call = strtok(NULL, ",")) {
    int number = seccomp_syscall_resolve_name(call);
    if (number < 0 || add(filter, error, number, call) != 0) return fprintf(stderr, "no such call: %s\n", call), 64;
  }
  if (seccomp_load(filter) != 0) return perror("seccomp_load"), 71;
  seccomp_release(filter);
  execvp(words[3], words + 3);
  return perror(words[3]), 71;
}

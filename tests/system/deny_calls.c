/* deny_calls ERROR CALL[,CALL…] PROGRAM ARGUMENTS…: runs a program for which the kernel has not got these
 * system calls: each fails with ERROR, by a filter that the program inherits. */
#define _GNU_SOURCE
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int number_of(const char* error) {
  const struct { const char* name; int number; } known[] = {
      {"EPERM", EPERM}, {"ENOSYS", ENOSYS}, {"EINVAL", EINVAL}, {"EACCES", EACCES}, {"EOPNOTSUPP", EOPNOTSUPP},
      {"ENOPROTOOPT", ENOPROTOOPT}, {"EBUSY", EBUSY}};
  for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
    if (strcmp(known[i].name, error) == 0) return known[i].number;
  }
  return 0;
}

int main(int count, char** words) {
  int error = count > 3 ? number_of(words[1]) : 0;
  if (error == 0) return fprintf(stderr, "usage: deny_calls ERROR CALL[,CALL...] PROGRAM [ARGUMENTS]\n"), 64;
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  for (char* call = strtok(words[2], ","); call != NULL; call = strtok(NULL, ",")) {
    int number = seccomp_syscall_resolve_name(call);
    if (number < 0 || seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), number, 0) != 0) return fprintf(stderr, "no such call: %s\n", call), 64;
  }
  if (seccomp_load(filter) != 0) return perror("seccomp_load"), 71;
  seccomp_release(filter);
  execvp(words[3], words + 3);
  return perror(words[3]), 71;
}

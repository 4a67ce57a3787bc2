#include "os/seccomp.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <set>
#include <thread>

namespace ntp::os {
namespace {

constexpr int kAsExpected = 0;
constexpr int kNotFiltered = 77;

// How a process ends in which `act` runs in a thread of that role; `act` says true when all is
// well.
int status_of(ThreadRole role, const std::function<bool()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!confine_process()) ::_exit(kNotFiltered);
    bool good = false;
    std::thread([&] {
      confine_thread(role);
      good = act();
    }).join();
    ::_exit(good ? kAsExpected : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

// The same for the one thread of a process of that role.
int status_of_process(ThreadRole role, const std::function<bool()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!confine_process(role)) ::_exit(kNotFiltered);
    ::_exit(act() ? kAsExpected : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

bool is_refused(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  errno = 0;
  return ::syscall(number, a, b, c, d, 0, 0) == -1 && errno == EPERM;
}

class Seccomp : public testing::Test {
 protected:
  void SetUp() override {
    if (kInstrumented) GTEST_SKIP() << "the filters of such a build are wider";
    const int status = status_of(ThreadRole::service, [] { return true; });
    if (WIFEXITED(status) && WEXITSTATUS(status) == kNotFiltered) GTEST_SKIP() << "no seccomp here";
  }
};

TEST_F(Seccomp, AWorkerThatMakesAnUnlistedCallEndsTheProcess) {
  for (const long number : {SYS_socket, SYS_openat, SYS_execve, SYS_ptrace, SYS_getdents64}) {
    const int status =
        status_of(ThreadRole::worker, [&] { return ::syscall(number, 0, 0, 0, 0) != 0; });
    ASSERT_TRUE(WIFSIGNALED(status)) << number << ": it went on";
    EXPECT_EQ(WTERMSIG(status), SIGSYS) << number;
  }
}

TEST_F(Seccomp, AWorkerMayWriteItsLastWordsButNothingElse) {
  EXPECT_EQ(status_of(ThreadRole::worker, [] { return ::write(STDERR_FILENO, "", 0) == 0; }),
            kAsExpected);
  EXPECT_EQ(
      WTERMSIG(status_of(ThreadRole::worker, [] { return ::write(STDOUT_FILENO, "", 0) == 0; })),
      SIGSYS);
  EXPECT_EQ(WTERMSIG(status_of(ThreadRole::worker, []() -> bool { std::abort(); })), SIGABRT);
}

TEST_F(Seccomp, NobodyCanMakeCodeOfData) {
  const auto map = [](int protection) {
    return ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  for (const ThreadRole role :
       {ThreadRole::service, ThreadRole::timekeeper, ThreadRole::resolver}) {
    EXPECT_EQ(status_of(role,
                        [&] {
                          void* data = map(PROT_READ | PROT_WRITE);
                          return data != MAP_FAILED && map(PROT_READ | PROT_EXEC) == MAP_FAILED &&
                                 ::mprotect(data, 4096, PROT_READ | PROT_EXEC) != 0 &&
                                 ::mprotect(data, 4096, PROT_READ) == 0;
                        }),
              kAsExpected);
  }
  EXPECT_EQ(WTERMSIG(status_of(ThreadRole::worker, [&] { return map(PROT_EXEC) != nullptr; })),
            SIGSYS);
}

TEST_F(Seccomp, NobodyCanStartAProcessOrTouchAnother) {
  const pid_t parent = ::getpid();
  for (const ThreadRole role : {ThreadRole::service, ThreadRole::timekeeper}) {
    EXPECT_EQ(status_of(role,
                        [&] {
                          return is_refused(SYS_clone, SIGCHLD) && is_refused(SYS_execve) &&
                                 is_refused(SYS_ptrace) && is_refused(SYS_kill, parent) &&
                                 is_refused(SYS_tgkill, parent, parent) &&
                                 is_refused(SYS_socket, AF_PACKET, SOCK_RAW) &&
                                 is_refused(SYS_ioctl, 0, 0x8914) &&  // SIOCSIFFLAGS
                                 is_refused(SYS_seccomp, SECCOMP_SET_MODE_STRICT);
                        }),
              kAsExpected);
  }
}

TEST_F(Seccomp, TheResolverCanAskButNotServeOrSetTheClock) {
  EXPECT_EQ(status_of(ThreadRole::resolver,
                      [] {
                        const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                        return fd >= 0 && is_refused(SYS_listen, fd, 1) &&
                               is_refused(SYS_adjtimex) && is_refused(SYS_clone) &&
                               is_refused(SYS_unlinkat);
                      }),
            kAsExpected);
}

TEST_F(Seccomp, WhatIsRefusedIsToldOnceByNameAndRole) {
  EXPECT_EQ(status_of(ThreadRole::timekeeper,
                      [] {
                        for (int i = 0; i < 3; ++i) (void)is_refused(SYS_ptrace);
                        const auto told = take_refused_calls();
                        return told.size() == 1 && told[0].name == "ptrace" &&
                               told[0].role == ThreadRole::timekeeper && refused_calls() == 3 &&
                               take_refused_calls().empty();
                      }),
            kAsExpected);
}

// Not one of the calls on a role's list may be refused by its filter: with arguments that the
// kernel itself cannot like, it answers with an error of its own.
TEST_F(Seccomp, EveryListedCallReachesTheKernel) {
  const std::set<std::string_view> ends{"exit", "exit_group",
                                        "rt_sigreturn"};  // the tests use them
  for (std::size_t i = 0; i < kThreadRoles; ++i) {
    const auto role = static_cast<ThreadRole>(i);
    int tried = 0;
    for (const SystemCall& call : system_calls()) {
      if (!call.is_for(role) || call.allowed != Allowed::any || ends.contains(call.name)) continue;
      const int number = ::seccomp_syscall_resolve_name(std::string(call.name).c_str());
      if (number < 0) continue;  // another architecture's
      ++tried;
      const auto act = [&] {
        (void)::syscall(number, -1, -1, -1, -1, -1, -1);
        return refused_calls() == 0;
      };
      EXPECT_EQ(is_process(role) ? status_of_process(role, act) : status_of(role, act), kAsExpected)
          << call.name << " in the " << kThreadRoleNames[i];
    }
    EXPECT_GE(tried, 12);
  }
}

void expect_ended(ThreadRole role, long number) {
  const int status = status_of_process(role, [&] { return ::syscall(number, 0, 0, 0, 0) != 0; });
  ASSERT_TRUE(WIFSIGNALED(status)) << number << ": it went on";
  EXPECT_EQ(WTERMSIG(status), SIGSYS) << number;
}

TEST_F(Seccomp, KeyEstablishmentThatMakesAnUnlistedCallIsEnded) {
  for (const long number : {SYS_socket, SYS_connect, SYS_bind, SYS_execve, SYS_ptrace, SYS_clone,
                            SYS_kill, SYS_unlinkat, SYS_seccomp, SYS_getdents64, SYS_readlinkat}) {
    expect_ended(ThreadRole::key_establishment, number);
  }
  const auto write_to = [](int fd) {
    return status_of_process(ThreadRole::key_establishment,
                             [fd] { return ::write(fd, "", 0) == 0; });
  };
  EXPECT_EQ(write_to(STDERR_FILENO), kAsExpected);  // its last words
  EXPECT_EQ(WTERMSIG(write_to(STDOUT_FILENO)), SIGSYS);
  EXPECT_EQ(
      WTERMSIG(status_of_process(ThreadRole::key_establishment, []() -> bool { std::abort(); })),
      SIGABRT);
}

// The one that asks servers of time for keys reads what those send, or who stands on the way.
TEST_F(Seccomp, KeyEstablishmentWithSourcesThatMakesAnUnlistedCallIsEnded) {
  for (const long number : {SYS_bind, SYS_listen, SYS_accept4, SYS_execve, SYS_ptrace, SYS_clone,
                            SYS_kill, SYS_unlinkat, SYS_seccomp, SYS_getdents64, SYS_socket}) {
    expect_ended(ThreadRole::key_client, number);
  }
  EXPECT_EQ(status_of_process(ThreadRole::key_client,
                              [] { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0; }),
            kAsExpected);
}

// As key establishment is started: its filter comes on top of the keeper's.
TEST_F(Seccomp, TheKeeperForksAChildThatShutsItselfInFurther) {
  EXPECT_EQ(status_of_process(ThreadRole::keeper,
                              [] {
                                const pid_t child = ::fork();
                                if (child == 0) {
                                  ::_exit(confine_process(ThreadRole::key_establishment) &&
                                                  refused_calls() == 0
                                              ? kAsExpected
                                              : 1);
                                }
                                int status = -1;
                                ::waitpid(child, &status, 0);
                                return status == kAsExpected && refused_calls() == 0;
                              }),
            kAsExpected);
  EXPECT_EQ(status_of_process(ThreadRole::keeper,
                              [] {
                                return is_refused(SYS_clone, CLONE_NEWUSER | SIGCHLD) &&
                                       is_refused(SYS_clone, CLONE_VM | SIGCHLD) &&
                                       is_refused(SYS_socket, AF_INET) && is_refused(SYS_execve) &&
                                       is_refused(SYS_ptrace) && is_refused(SYS_kill, 1) &&
                                       is_refused(SYS_connect);
                              }),
            kAsExpected);
}

TEST(SystemCalls, AreKnownByTheirNamesAndListedOnceForARole) {
  std::set<std::pair<std::string_view, int>> seen;
  for (const SystemCall& call : system_calls()) {
    EXPECT_NE(::seccomp_syscall_resolve_name(std::string(call.name).c_str()), __NR_SCMP_ERROR)
        << call.name;
    for (std::size_t role = 0; role < kThreadRoles; ++role) {
      if (!call.is_for(static_cast<ThreadRole>(role))) continue;
      EXPECT_TRUE(seen.emplace(call.name, role).second) << call.name << " stands twice";
    }
  }
}

}  // namespace
}  // namespace ntp::os

#include "os/confinement.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <functional>
#include <thread>

#include "os/privileges.h"
#include "os/seccomp.h"

namespace ntp::os {
namespace {

constexpr int kAsExpected = 0;
constexpr int kNone = 77;

// From now on the kernel says that this call has done its work, and does nothing. Not where its
// third argument is null: so libseccomp asks what the kernel has.
bool make_hollow(std::uint32_t call) {
  const bool asks = call == SYS_seccomp;
  std::array<sock_filter, 6> program{
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 3, call},
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args[2])},
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, asks ? 0 : 0xffffffffu},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | 0},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog code{.len = program.size(), .filter = program.data()};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &code) == 0;
}

int code_of(const std::function<int()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ::_exit(act());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class SelfTest : public testing::Test {
 protected:
  void SetUp() override {
    const int code = code_of([] {
      (void)drop_thread_capabilities();
      const Confinement made = confine({.read = {"/proc"}}, ThreadRole::service);
      if (made.lacking.empty()) return kAsExpected;
      for (const char* found : {"the kernel took", "the filter lets"}) {
        if (made.lacking.find(found) != std::string::npos) return 1;
      }
      return made.filtered && made.landlock > 0 ? 1 : kNone;
    });
    if (code == kNone) GTEST_SKIP() << "no Landlock or no seccomp here";
    ASSERT_EQ(code, kAsExpected) << "what holds is lacking";
  }
};

TEST_F(SelfTest, FindsRulesOfFilesThatNobodyKeepsTo) {
  const auto lacks = [](Reach reach) {
    return code_of([&]() -> int {
      if (!make_hollow(SYS_landlock_restrict_self)) return kNone;
      const Confinement made = confine(reach, ThreadRole::service);
      return made.landlock == 0 && made.lacking.find("files and ports: ") != std::string::npos;
    });
  };
  EXPECT_EQ(lacks({.read = {"/proc"}}), 1);
  EXPECT_EQ(lacks({.read = {"/"}}), 0) << "nothing is out of reach that could be tried";
  EXPECT_EQ(lacks({.read = {"/proc/self/root"}}), 0) << "the same by another name";
}

TEST_F(SelfTest, FindsAFilterThatIsNotRunForAProcessOfEachRole) {
  for (const ThreadRole role : {ThreadRole::service, ThreadRole::keeper,
                                ThreadRole::key_establishment, ThreadRole::key_client}) {
    EXPECT_EQ(code_of([role]() -> int {
                if (!make_hollow(SYS_seccomp)) return kNone;
                const Confinement made = confine({}, role);
                return !made.filtered &&
                       made.lacking.find("system calls: the kernel took") != std::string::npos;
              }),
              1);
  }
}

TEST_F(SelfTest, FindsAFilterThatIsNotRunForAThread) {
  for (const ThreadRole role : {ThreadRole::timekeeper, ThreadRole::worker}) {
    EXPECT_EQ(code_of([role] {
                if (!confine_process()) return kNone;
                if (!make_hollow(SYS_seccomp)) return kNone;
                std::thread([role] { confine_thread(role); }).join();
                return static_cast<int>(unconfined_threads());
              }),
              1);
  }
}

TEST_F(SelfTest, FindsCapabilitiesThatWereNotTaken) {
  if (::geteuid() != 0) GTEST_SKIP() << "there are none here";
  const auto left = [](bool drop) {
    return code_of([drop] {
      if (drop) (void)drop_thread_capabilities();
      return confine({}, ThreadRole::service).lacking.find("privileges: ") != std::string::npos;
    });
  };
  EXPECT_EQ(left(false), 1);
  EXPECT_EQ(left(true), 0);
}

TEST_F(SelfTest, IsNoRefusalThatIsTold) {
  EXPECT_EQ(code_of([] {
              if (!confine_process()) return kNone;
              if (refused_calls() != 0 || !take_refused_calls().empty()) return 1;
              (void)::syscall(SYS_getpgid, 0);  // the same call of anybody else is told
              return kInstrumented || refused_calls() == 1 ? kAsExpected : 2;
            }),
            kAsExpected);
}

}  // namespace
}  // namespace ntp::os

#include "ke/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "os/clocks.h"
#include "os/leave.h"
#include "os/privileges.h"

namespace ntp::ke {
namespace {

using std::chrono::milliseconds;

constexpr int kNice = 10;  // who waits for UDP comes first
constexpr milliseconds kFirstPause{100};
constexpr milliseconds kLongestPause{10'000};
constexpr std::chrono::seconds kLongLife{60};
constexpr int kCannotStart = 71;  // EX_OSERR

void die_with(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != parent) ::_exit(0);  // it was quicker
}

// A terminal's Ctrl-C and systemd's SIGTERM reach the whole group; the server tells us when to end.
void ignore_signals() {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2}) {
    ::signal(number, SIG_IGN);
  }
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void close_range_of(int first, int last) {
  if (first > last ||
      ::close_range(static_cast<unsigned>(first), static_cast<unsigned>(last), 0) == 0) {
    return;
  }
  for (int fd = first; fd <= std::min(last, 65535); ++fd) ::close(fd);  // before Linux 5.9
}

void close_all_but(std::vector<int> kept) {
  std::ranges::sort(kept);
  int next = STDERR_FILENO + 1;
  for (const int fd : kept) {
    close_range_of(next, fd - 1);
    next = fd + 1;
  }
  close_range_of(next, std::numeric_limits<int>::max());
}

// THE PLACE WHERE THE PROCESS ENTERS ITS SANDBOX. Everything that it has is open by now: the
// channel, the listeners, epoll; the files have been read once. From here on it needs
//  - calls: accept4, recvfrom, sendto, setsockopt, shutdown, listen, close, epoll_ctl, epoll_wait,
//    clock_gettime, getrandom, brk, mmap, munmap, madvise, futex, rt_sigreturn, exit_group, and to
//    load certificates again: openat, fstat, fstatfs, newfstatat, read;
//  - files, to read: the directories of Plan::certificate and Plan::key (renewal by rename and by
//    swapping links), and what their links lead to.
void enter_sandbox(const Plan&) {}

[[noreturn]] void be_process(const Plan& plan, int channel, pid_t keeper) {
  ::prctl(PR_SET_NAME, "ntp-ke", 0, 0, 0);
  // Should memory run out, then handshakes are what the node can best do without.
  if (const os::Fd fd(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)); fd) {
    (void)!::write(fd.get(), "500", 3);
  }
  ::setpriority(PRIO_PROCESS, 0, kNice);
  const rlimit no_core{};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // clears the signal of the parent's death: before die_with
  die_with(keeper);
  Server server(plan, channel);
  if (!server.prepare()) os::leave(kCannotStart);
  enter_sandbox(plan);
  server.run();
  os::leave(0);
}

void tell(int channel, const Message& message) {
  const auto bytes = encode(message);
  ::send(channel, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

std::string ending(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was ended by signal {}", WTERMSIG(status));
  return fmt::format("ended with code {}", WEXITSTATUS(status));
}

std::string why_again(pid_t child, int status, milliseconds pause) {
  const std::string what = child < 0
                               ? os::Error::last("NTS: fork the key establishment process").text()
                               : "NTS: the key establishment process " + ending(status);
  return fmt::format("{}; starting it again in {} ms", what, pause.count());
}

// The server's end of the channel is closed: nobody is there to be kept for.
bool is_abandoned(int channel, milliseconds pause) {
  pollfd watched{.fd = channel, .events = POLLRDHUP, .revents = 0};
  return ::poll(&watched, 1, static_cast<int>(pause.count())) > 0;
}

[[noreturn]] void keep(const Plan& plan, int channel) {
  ::prctl(PR_SET_NAME, "ntp-ke-keeper", 0, 0, 0);
  const pid_t self = ::getpid();
  milliseconds pause = kFirstPause;
  while (true) {
    const RawTime begun = os::raw_now();
    const pid_t child = ::fork();
    if (child == 0) be_process(plan, channel, self);
    int status = 0;
    if (child > 0) {
      while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
      }
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) os::leave(0);
    }
    if (os::raw_now() - begun >= kLongLife) pause = kFirstPause;
    tell(channel, Ended{});
    tell(channel, Told{.level = Told::Level::error, .text = why_again(child, status, pause)});
    if (is_abandoned(channel, pause)) os::leave(0);
    pause = std::min(pause * 2, kLongestPause);
  }
}

}  // namespace

std::expected<Child, os::Error> start_process(const Plan& plan) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return std::unexpected(os::Error::last("NTS: make a pair of sockets"));
  }
  os::Fd ours(pair[0]);
  const os::Fd theirs(pair[1]);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  const pid_t parent = ::getpid();
  const pid_t keeper = ::fork();
  if (keeper < 0) return std::unexpected(os::Error::last("NTS: fork"));
  if (keeper == 0) {
    ignore_signals();
    auto kept = plan.listeners;
    kept.push_back(theirs.get());
    close_all_but(std::move(kept));
    os::drop_thread_capabilities();  // CAP_SYS_TIME, where the server keeps it
    die_with(parent);
    keep(plan, theirs.get());
  }
  return Child{.channel = std::move(ours), .keeper = keeper};
}

}  // namespace ntp::ke

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
#include <type_traits>
#include <variant>

#include "ke/sandbox.h"
#include "os/clocks.h"
#include "os/leave.h"
#include "os/privileges.h"
#include "os/seccomp.h"
#include "tls/library.h"

namespace ntp::ke {
namespace {

using std::chrono::milliseconds;

constexpr int kNice = 10;  // who waits for UDP comes first
constexpr milliseconds kFirstPause{100};
constexpr milliseconds kLongestPause{10'000};
constexpr std::chrono::seconds kLongLife{60};
constexpr int kLook_ms = 20;
constexpr int kCannotStart = 71;  // EX_OSERR

using Role = std::variant<Plan, ClientPlan>;

const char* name_of(const Role& role) {
  return std::holds_alternative<Plan>(role) ? "ntp-ke" : "ntp-ke-client";
}

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

void tell(int channel, const Message& message) {
  const auto bytes = encode(message);
  ::send(channel, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Calls that the filter of the keeper refused, to itself or to its child before that had its own.
void tell_refused(int channel) {
  for (const os::RefusedCall& call : os::take_refused_calls()) {
    tell(channel, Told{.level = Told::Level::error,
                       .text = fmt::format("the sandbox refused the system call {} of the keeper "
                                           "of key establishment: a bug of ours, or an intruder",
                                           call.name)});
  }
}

// False: it has to be in a sandbox, and is not in all of it.
template <typename PlanOfIt>
bool enter_sandbox(const PlanOfIt& plan, int channel) {
  constexpr const char* kWhose =
      std::is_same_v<PlanOfIt, ClientPlan> ? "key establishment with sources" : "key establishment";
  const os::Confinement made = shut_in(plan);
  tell(channel, ShutIn{.landlock = static_cast<std::uint32_t>(made.landlock),
                       .filtered = made.filtered,
                       .memory = made.memory});
  if (plan.sandbox == config::Sandbox::off) return true;
  if (made.lacking.empty()) {
    tell(channel, Told{.text = fmt::format(
                           "NTS: sandbox of {} files=\"{}\" system_calls={} memory=\"{}\"", kWhose,
                           made.files_text(), made.calls_text(), made.memory_text())});
    return true;
  }
  const bool required = plan.sandbox == config::Sandbox::required;
  tell(channel,
       Told{.level = required ? Told::Level::error : Told::Level::warning,
            .text = fmt::format("NTS: the sandbox of {} is not complete: {}{}", kWhose,
                                made.lacking, required ? "; none, it is \"required\"" : "")});
  return !required;
}

template <typename Loop, typename PlanOfIt>
void run_loop(const PlanOfIt& plan, int channel) {
  Loop loop(plan, channel);
  if (!loop.prepare()) os::leave(kCannotStart);
  if (!enter_sandbox(plan, channel)) os::leave(kCannotStart);
  tell_refused(channel);
  loop.run();
}

[[noreturn]] void be_process(const Role& role, int channel, pid_t keeper) {
  ::prctl(PR_SET_NAME, name_of(role), 0, 0, 0);
  // Should memory run out, then handshakes are what the node can best do without.
  if (const os::Fd fd(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)); fd) {
    (void)!::write(fd.get(), "500", 3);
  }
  ::setpriority(PRIO_PROCESS, 0, kNice);
  const rlimit no_core{};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  // A change of user or group, or more capabilities, would clear the signal of the parent's death
  // (prctl(2)): nothing after this does that.
  die_with(keeper);
  if (!tls::govern_memory() || !tls::can_begin()) os::leave(kCannotStart);
  if (const auto* plan = std::get_if<Plan>(&role)) run_loop<Server>(*plan, channel);
  if (const auto* plan = std::get_if<ClientPlan>(&role)) run_loop<Client>(*plan, channel);
  os::leave(0);
}

std::string ending(int status) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) {
    return "was ended because the sandbox refused one of its system calls (SIGSYS): a bug of "
           "ours, or an intruder";
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == tls::kNoMemory) return "had no memory left";
  if (WIFSIGNALED(status)) return fmt::format("was ended by signal {}", WTERMSIG(status));
  return fmt::format("ended with code {}", WEXITSTATUS(status));
}

std::string why_again(const Role& role, pid_t child, int status, milliseconds pause) {
  const std::string whose = std::holds_alternative<Plan>(role)
                                ? "the key establishment process"
                                : "the process that establishes keys with sources";
  const std::string what = child < 0 ? os::Error::last("NTS: fork " + whose).text()
                                     : fmt::format("NTS: {} {}", whose, ending(status));
  return fmt::format("{}; starting it again in {} ms", what, pause.count());
}

// The server's end of the channel is closed: nobody is there to be kept for.
bool is_abandoned(int channel, milliseconds pause) {
  pollfd watched{.fd = channel, .events = POLLRDHUP, .revents = 0};
  return ::poll(&watched, 1, static_cast<int>(pause.count())) > 0;
}

[[noreturn]] void keep(const Role& role, int channel) {
  ::prctl(PR_SET_NAME, "ntp-ke-keeper", 0, 0, 0);
  std::visit([](const auto& plan) { shut_in_keeper(plan); },
             role);  // what it lacks, its child lacks too, which tells
  const pid_t self = ::getpid();
  milliseconds pause = kFirstPause;
  while (true) {
    const RawTime begun = os::raw_now();
    const pid_t child = ::fork();
    if (child == 0) be_process(role, channel, self);
    int status = 0;
    if (child > 0) {
      while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
      }
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) os::leave(0);
    }
    if (os::raw_now() - begun >= kLongLife) pause = kFirstPause;
    tell_refused(channel);
    tell(channel, Ended{});
    tell(channel, Told{.level = Told::Level::error, .text = why_again(role, child, status, pause)});
    if (is_abandoned(channel, pause)) os::leave(0);
    pause = std::min(pause * 2, kLongestPause);
  }
}

std::expected<Child, os::Error> start(const Role& role, std::vector<int> kept) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return std::unexpected(os::Error::last("NTS: make a pair of sockets"));
  }
  os::Fd ours(pair[0]);
  const os::Fd theirs(pair[1]);
  const pid_t parent = ::getpid();
  const pid_t keeper = ::fork();
  if (keeper < 0) return std::unexpected(os::Error::last("NTS: fork"));
  if (keeper == 0) {
    ignore_signals();
    kept.push_back(theirs.get());
    close_all_but(std::move(kept));
    os::drop_thread_capabilities();  // CAP_SYS_TIME, where the server keeps it
    die_with(parent);
    keep(role, theirs.get());
  }
  return Child{.channel = std::move(ours), .keeper = keeper};
}

}  // namespace

std::expected<Child, os::Error> start_process(const Plan& plan) {
  return start(plan, plan.listeners);
}
std::expected<Child, os::Error> start_process(const ClientPlan& plan) { return start(plan, {}); }

void begin_stop(const Child& child) noexcept {
  if (child.channel) ::shutdown(child.channel.get(), SHUT_WR);
}

void finish_stop(Child& child, milliseconds patience) noexcept {
  const RawTime deadline = os::raw_now() + patience;
  while (child.channel && os::raw_now() < deadline) {
    pollfd watched{.fd = child.channel.get(), .events = POLLIN, .revents = 0};
    ::poll(&watched, 1, kLook_ms);
    std::byte rest{};  // of a last message, which may be a secret: its first octet, the type
    const ssize_t size = ::recv(child.channel.get(), &rest, sizeof rest, MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) child.channel.reset();
  }
  child.channel.reset();
}

}  // namespace ntp::ke

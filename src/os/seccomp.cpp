#include "os/seccomp.h"

#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <memory>

#include "os/fd.h"

namespace ntp::os {
namespace {

// ---- what was refused; written by the signal handler of any thread

constexpr std::size_t kMostCalls = 1024;  // numbers from 0; Linux is below 500
constexpr std::size_t kWordBits = 64;

std::array<std::array<std::atomic<std::uint64_t>, kMostCalls / kWordBits>, kThreadRoles> refused{};
std::atomic<std::uint64_t> refused_count{0};
std::atomic<std::uint64_t> unconfined_count{0};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "it is set by a signal handler");
thread_local ThreadRole this_role = ThreadRole::service;

// ---- the two calls of the self-test: they are on no list, change nothing, and nobody else makes
// them

constexpr long kAskWhose = SYS_getsid;   // to which each filter has an answer of its own
constexpr long kOnNoList = SYS_getpgid;  // to which none has
constexpr int kFirstAnswer = 256;        // Linux has no errors with such numbers
thread_local volatile std::sig_atomic_t is_trying = 0;

constexpr int answer_of(ThreadRole role) noexcept { return kFirstAnswer + static_cast<int>(role); }

void set_result(ucontext_t& context, long result) noexcept {
#if defined(__x86_64__)
  context.uc_mcontext.gregs[REG_RAX] = result;
#elif defined(__aarch64__)
  context.uc_mcontext.regs[0] = static_cast<unsigned long long>(result);
#else
#error "which register holds the result of a system call?"
#endif
}

void on_refused(int, siginfo_t* info, void* context) noexcept {
  const auto number = static_cast<std::size_t>(info->si_syscall);
  set_result(*static_cast<ucontext_t*>(context), -EPERM);
  if (is_trying != 0 && number == kOnNoList) return;
  refused_count.fetch_add(1, std::memory_order_relaxed);
  if (number < kMostCalls) {
    refused[static_cast<std::size_t>(this_role)][number / kWordBits].fetch_or(
        std::uint64_t{1} << number % kWordBits, std::memory_order_relaxed);
  }
}

// ---- the filters, made once

using Program = std::vector<sock_filter>;
std::array<Program, kThreadRoles> programs;
bool in_force = false;

using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

constexpr std::uint32_t kRefuse = kInstrumented ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_TRAP;
constexpr std::uint32_t default_action(ThreadRole role) noexcept {
  const bool reads_strangers = role == ThreadRole::worker ||
                               role == ThreadRole::key_establishment ||
                               role == ThreadRole::key_client;
  return reads_strangers && !kInstrumented ? SCMP_ACT_KILL_PROCESS : kRefuse;
}

// Flags of clone(2) that fork(2) does not use: what is shared, and namespaces.
constexpr scmp_datum_t kNoProcessOfItsOwn =
    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_PTRACE | CLONE_THREAD | CLONE_NEWNS |
    CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// Every way of a call in which it is allowed, until one fails.
int allow(scmp_filter_ctx filter, int number, Allowed allowed) {
  const auto when = [&](std::initializer_list<scmp_arg_cmp> ways) {
    for (const scmp_arg_cmp& way : ways) {
      const int failed = ::seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, 1, &way);
      if (failed != 0) return failed;
    }
    return 0;
  };
  switch (allowed) {
    case Allowed::any:
      return ::seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    case Allowed::no_exec:
      return when({SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)});
    case Allowed::thread:
      return when({SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)});
    case Allowed::process:
      return when({SCMP_A0_64(SCMP_CMP_MASKED_EQ, kNoProcessOfItsOwn, 0)});
    case Allowed::not_there:
      return ::seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0);
    case Allowed::own_process:
      return when({SCMP_A0_64(SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid()))});
    case Allowed::add_filter:
      return when({SCMP_A0_64(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER)});
    case Allowed::ip_unix_route:
      return when({SCMP_A0_64(SCMP_CMP_EQ, AF_INET), SCMP_A0_64(SCMP_CMP_EQ, AF_INET6),
                   SCMP_A0_64(SCMP_CMP_EQ, AF_UNIX), SCMP_A0_64(SCMP_CMP_EQ, AF_NETLINK)});
    case Allowed::ip:
      return when({SCMP_A0_64(SCMP_CMP_EQ, AF_INET), SCMP_A0_64(SCMP_CMP_EQ, AF_INET6)});
    case Allowed::ask_bytes:
      return when({SCMP_A1_64(SCMP_CMP_EQ, FIONREAD), SCMP_A1_64(SCMP_CMP_EQ, TCGETS)});
    case Allowed::standard_error:
      return when({SCMP_A0_64(SCMP_CMP_EQ, STDERR_FILENO)});
  }
  return -EINVAL;
}

int add_list(scmp_filter_ctx filter, ThreadRole role) {
  for (const SystemCall& call : system_calls()) {
    if (!call.is_for(role) && !kInstrumented) continue;
    const int number = ::seccomp_syscall_resolve_name(std::string(call.name).c_str());
    if (number < 0) continue;  // another architecture's
    const Allowed allowed = kInstrumented ? Allowed::any : call.allowed;
    if (const int failed = allow(filter, number, allowed); failed != 0) return failed;
  }
  return 0;
}

// What the run-time libraries of sanitizers and gcov do beside us.
int add_instruments(scmp_filter_ctx filter) {
  for (const char* name : {"access",          "clock_nanosleep", "dup",      "execve",
                           "faccessat",       "ftruncate",       "getcwd",   "getppid",
                           "getrlimit",       "getrusage",       "getuid",   "kill",
                           "mkdir",           "mkdirat",         "msync",    "nanosleep",
                           "personality",     "pipe2",           "prctl",    "pread64",
                           "prlimit64",       "ptrace",          "pwrite64", "sched_getaffinity",
                           "set_tid_address", "sigaltstack",     "statx",    "wait4"}) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number < 0) continue;
    if (const int failed = allow(filter, number, Allowed::any); failed != 0) return failed;
  }
  return 0;
}

std::expected<Program, Error> export_program(scmp_filter_ctx filter) {
  const auto failed = [](int code) {
    return std::unexpected(Error{"export a filter of system calls", code});
  };
  const Fd file(static_cast<int>(::syscall(SYS_memfd_create, "filter", MFD_CLOEXEC)));
  if (!file) return failed(errno);
  if (const int code = ::seccomp_export_bpf(filter, file.get()); code != 0) return failed(-code);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return failed(errno);
  Program program(static_cast<std::size_t>(status.st_size) / sizeof(sock_filter));
  const std::size_t octets = program.size() * sizeof(sock_filter);
  if (program.empty() ||
      ::pread(file.get(), program.data(), octets, 0) != static_cast<ssize_t>(octets)) {
    return failed(EIO);
  }
  return program;
}

std::expected<Program, Error> compile(ThreadRole role) {
  const Filter filter(::seccomp_init(default_action(role)), ::seccomp_release);
  if (filter == nullptr) return std::unexpected(Error{"make a filter of system calls", ENOMEM});
  constexpr std::uint32_t kBinaryTree = 2;
  int failed = ::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  (void)::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, kBinaryTree);
  if (failed == 0) failed = add_list(filter.get(), role);
  if (failed == 0 && kInstrumented) failed = add_instruments(filter.get());
  if (failed == 0) {
    failed = ::seccomp_rule_add(filter.get(),
                                SCMP_ACT_ERRNO(static_cast<std::uint32_t>(answer_of(role))),
                                static_cast<int>(kAskWhose), 0);
  }
  if (failed != 0) return std::unexpected(Error{"make a filter of system calls", -failed});
  return export_program(filter.get());
}

// The code that runs here is all our own: no reason to pay for the mitigation of speculative stores
// that older kernels put on every filtered thread.
bool load(const Program& program) noexcept {
  const sock_fprog code{.len = static_cast<unsigned short>(program.size()),
                        .filter = const_cast<sock_filter*>(program.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &code) ==
         0;
}

// Of all filters that a thread is under, the one that it loaded last answers: which one that is.
bool is_under(ThreadRole role) noexcept {
  return ::syscall(kAskWhose, 0) == -1 && errno == answer_of(role);
}

// That the kernel took a filter is its word. What it does is seen by two calls.
std::expected<void, Error> try_filter(ThreadRole role) {
  const auto fails = [](const char* what) { return std::unexpected(Error{what, 0}); };
  if (!is_under(role)) return fails("the kernel took the filter, and does not run it");
  if (default_action(role) == SCMP_ACT_KILL_PROCESS) return {};  // that trial would be our last
  is_trying = 1;
  const bool is_refused = ::syscall(kOnNoList, 0) == -1 && errno == EPERM;
  is_trying = 0;
  if (!is_refused) return fails("the filter lets a call pass that is not on the list");
  return {};
}

}  // namespace

std::expected<void, Error> confine_process(ThreadRole role) {
  this_role = role;
  for (std::size_t i = 0; i < kThreadRoles; ++i) {
    const auto other = static_cast<ThreadRole>(i);
    if (is_process(role) ? other != role : is_process(other)) continue;
    auto program = compile(other);
    if (!program) return std::unexpected(program.error());
    programs[i] = std::move(*program);
  }
  struct sigaction action{};
  action.sa_sigaction = on_refused;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  ::sigaction(SIGSYS, &action, nullptr);
  if (!load(programs[static_cast<std::size_t>(role)])) {
    return std::unexpected(Error::last("filter system calls (seccomp)"));
  }
  if (auto held = try_filter(role); !held) return held;
  in_force = true;
  return {};
}

void confine_thread(ThreadRole role) noexcept {
  this_role = role;
  if (!in_force) return;
  if (!load(programs[static_cast<std::size_t>(role)]) || !is_under(role)) {
    unconfined_count.fetch_add(1, std::memory_order_relaxed);
  }
}

std::uint64_t unconfined_threads() noexcept {
  return unconfined_count.load(std::memory_order_relaxed);
}

std::vector<RefusedCall> take_refused_calls() {
  std::vector<RefusedCall> calls;
  for (std::size_t role = 0; role < kThreadRoles; ++role) {
    for (std::size_t number = 0; number < kMostCalls; ++number) {
      auto& word = refused[role][number / kWordBits];
      const std::uint64_t bit = std::uint64_t{1} << number % kWordBits;
      if ((word.load(std::memory_order_relaxed) & bit) == 0) continue;
      word.fetch_and(~bit, std::memory_order_relaxed);
      const std::unique_ptr<char, void (*)(void*)> name(
          ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(number)),
          std::free);
      calls.push_back(
          {static_cast<ThreadRole>(role), name ? std::string(name.get()) : std::to_string(number)});
    }
  }
  return calls;
}

std::uint64_t refused_calls() noexcept { return refused_count.load(std::memory_order_relaxed); }

}  // namespace ntp::os

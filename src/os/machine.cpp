#include "os/machine.h"

#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "os/cgroup.h"
#include "os/clocks.h"
#include "os/text_file.h"

namespace ntp::os {
namespace {

constexpr int kWakeSignal = SIGUSR2;
constexpr int kMaxWorkers = 8;  // beyond that the network is the limit

std::atomic<bool> stop_flag{false};
std::atomic<bool> reload_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "it is set by a signal handler");

void on_signal(int number) noexcept {
  (number == SIGHUP ? reload_flag : stop_flag).store(true, std::memory_order_relaxed);
}

}  // namespace

int automatic_workers() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int processors = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const double allowed = std::min<double>(processors, std::ceil(cpu_quota()));
  return std::clamp(static_cast<int>(std::min<double>(allowed, kMaxWorkers)), 1, kMaxWorkers);
}

std::string time_zone_problem() {
  const char* variable = std::getenv("TZ");
  if (variable == nullptr || *variable == '\0') return {};
  std::string_view zone = variable;
  if (zone.front() == ':') zone.remove_prefix(1);
  const char* directory = std::getenv("TZDIR");
  const std::filesystem::path base = directory != nullptr ? directory : "/usr/share/zoneinfo";
  std::error_code ignored;
  if (std::filesystem::is_regular_file(
          zone.starts_with('/') ? std::filesystem::path(zone) : base / zone, ignored)) {
    return {};
  }
  // A POSIX rule such as "CET-1CEST,M3.5.0/2,M10.5.0/3" needs no file: letters or <…>, an offset.
  const auto rule = zone.substr(0, zone.find(','));
  const auto digits = rule.find_first_of("+-0123456789");
  if (digits != std::string_view::npos && (digits >= 3 || rule.starts_with('<')) &&
      rule.find('/') == std::string_view::npos) {
    return {};
  }
  return std::string("TZ=") + variable + " is not a time zone known here; times are logged in UTC";
}

int utc_offset_s(std::int64_t unix_s) noexcept {
  const auto t = static_cast<time_t>(unix_s);
  tm local{};
  return ::localtime_r(&t, &local) != nullptr ? static_cast<int>(local.tm_gmtoff) : 0;
}

std::string boot_id() {
  auto id = read_text_file("/proc/sys/kernel/random/boot_id", 100).value_or("");
  while (id.ends_with('\n')) id.pop_back();
  return id;
}

std::uint64_t random_seed() noexcept {
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, GRND_NONBLOCK) == sizeof seed) return seed;
  return static_cast<std::uint64_t>(raw_now().time_since_epoch().count()) ^
         reinterpret_cast<std::uintptr_t>(&seed);
}

void install_signal_flags() noexcept {
  struct sigaction action{};
  action.sa_handler = on_signal;
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::sigaction(number, &action, nullptr);
  action.sa_handler = [](int) {};
  ::sigaction(kWakeSignal, &action, nullptr);
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
}

bool stop_requested() noexcept { return stop_flag.load(std::memory_order_relaxed); }
bool take_reload_request() noexcept {
  return reload_flag.exchange(false, std::memory_order_relaxed);
}

void block_signals() noexcept {
  sigset_t all;
  sigfillset(&all);
  sigdelset(&all, kWakeSignal);
  sigdelset(&all, SIGSYS);  // the sandbox's; it would end the process
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

void wake_thread(pthread_t thread) noexcept { ::pthread_kill(thread, kWakeSignal); }

}  // namespace ntp::os

#include "daemon/sandbox.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/ip.h"
#include "daemon/time_settings.h"
#include "os/places.h"
#include "os/seccomp.h"
#include "os/text_file.h"
#include "os/unix_socket.h"

namespace ntp::daemon {
namespace {

using os::Paths;

constexpr std::uint16_t kDnsPort = 53;  // answers that do not fit into a datagram
constexpr std::size_t kMostOfNsswitch = 65'536;

// Names are looked up as /etc/nsswitch.conf says, by libraries which could not be loaded later.
// Those for "files" and "dns" are part of libc.
void load_name_services() {
  const auto text = os::read_text_file("/etc/nsswitch.conf", kMostOfNsswitch);
  if (!text) return;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    if (!(words >> word) || word != "hosts:") continue;
    while (words >> word) {
      if (word == "files" || word == "dns" || word.find_first_of("[]=/") != word.npos) continue;
      (void)::dlopen(fmt::format("libnss_{}.so.2", word).c_str(), RTLD_NOW);
    }
  }
}

bool has_names(const config::Settings& settings) {
  return std::ranges::any_of(settings.sources, [](const client::SourceOptions& source) {
    return !parse_ip(source.host).has_value();
  });
}

os::Reach reach_of(const config::Settings& settings, const std::string& config_file) {
  const TimeSettings time = time_settings(settings);
  os::Reach reach;
  os::add_places(reach.read, config_file);
  for (const std::string& file :
       {settings.access.rules, settings.server.keys_file, settings.nts.cookie_secret_file,
        settings.nts.cookie_secret_previous_file}) {
    if (!file.empty()) os::add_places(reach.read, file);
  }
  // What libc reads to look names up, time zones, and the kernel's view of ports and of its boot.
  // And the device that KernelRandom reads where getrandom(2) is refused.
  for (const char* place : {"/etc", "/usr/share/zoneinfo", "/proc", "/dev/urandom"}) {
    reach.read.push_back(place);
  }
  for (const char* file : {"/etc/resolv.conf", "/etc/hosts", "/etc/localtime"}) {
    os::add_places(reach.read, file);
  }
  if (const char* zones = std::getenv("TZDIR")) reach.read.push_back(zones);
  if (!time.leap_file.empty()) os::add_places(reach.read, time.leap_file);
  if (!time.state_file.empty()) reach.replace.push_back(os::folder_of(time.state_file));
  if (settings.health_socket != "off") {
    for (const auto& path : os::health_socket_paths(settings.health_socket)) {
      reach.sockets.push_back(os::folder_of(path));
    }
  }
  reach.tcp_to = {kDnsPort};
  if constexpr (os::kInstrumented) {
    reach.replace.push_back("/");
    reach.sockets.push_back("/");
  }
  return reach;
}

}  // namespace

std::expected<void, StartFailure> Sandbox::enter(const config::Settings& settings,
                                                 const std::string& config_file, Log& log) {
  if (settings.server.sandbox == config::Sandbox::off) {
    log.warning(
        "server.sandbox is off: an intruder could use every file and system call that the "
        "user of this process can");
    return {};
  }
  if (has_names(settings)) load_name_services();
  reach_ = reach_of(settings, config_file);
  in_force_ =
      os::confine(reach_, os::ThreadRole::service, settings.clock.steer == clock::Actuator::system);
  const std::string& lack = in_force_.lacking;
  if (!lack.empty() && settings.server.sandbox == config::Sandbox::required) {
    return std::unexpected(StartFailure{
        "server.sandbox is \"required\", and the kernel does not let us: " + lack, EX_NOPERM});
  }
  log.info("sandbox", {{"files", in_force_.files_text()},
                       {"system_calls", in_force_.calls_text()},
                       {"memory", in_force_.memory_text()}});
  if (!lack.empty()) log.warning("the sandbox is not complete: " + lack);
  return {};
}

std::string Sandbox::out_of_reach(const config::Settings& settings) const {
  if (in_force_.landlock == 0) return {};
  const TimeSettings time = time_settings(settings);
  Paths readable = reach_.read;
  readable.insert(readable.end(), reach_.replace.begin(), reach_.replace.end());
  readable.insert(readable.end(), reach_.sockets.begin(), reach_.sockets.end());
  for (const std::string& file : {time.leap_file, settings.server.keys_file}) {
    if (!file.empty() && !os::is_below(file, readable)) return file;
  }
  const std::string& socket = settings.health_socket;
  if (!socket.empty() && socket != "off" && !os::is_below(socket, reach_.sockets)) return socket;
  return {};
}

void Sandbox::tell_refusals(Log& log) {
  if (!in_force_.filtered) return;
  if (os::unconfined_threads() > 0 && !told_unconfined_) {
    told_unconfined_ = true;
    log.error("a thread could not get its own filter of system calls and has its starter's");
  }
  if (os::refused_calls() == told_refusals_) return;
  told_refusals_ = os::refused_calls();
  for (const os::RefusedCall& call : os::take_refused_calls()) {
    log.error(fmt::format(
        "the sandbox refused the system call {} of the {} thread: a bug of ours, or an intruder",
        call.name, os::kThreadRoleNames[static_cast<std::size_t>(call.role)]));
  }
}

control::SandboxView Sandbox::view() const noexcept {
  return {.files = in_force_.landlock,
          .system_calls = in_force_.filtered,
          .memory = in_force_.memory,
          .refused_calls = os::refused_calls(),
          .unconfined_threads = os::unconfined_threads()};
}

}  // namespace ntp::daemon

#include "daemon/sandbox.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/ip.h"
#include "daemon/time_settings.h"
#include "os/privileges.h"
#include "os/seccomp.h"
#include "os/text_file.h"
#include "os/unix_socket.h"

namespace ntp::daemon {
namespace {

namespace fs = std::filesystem;
using Paths = std::vector<std::string>;

constexpr int kMostLinks = 40;          // the kernel's own limit
constexpr std::uint16_t kDnsPort = 53;  // answers that do not fit into a datagram
constexpr std::size_t kMostOfNsswitch = 65'536;

std::string folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

// The directory of a file, where somebody may put another version by renaming it; in the root
// directory, which would be everything, only the file.
std::string place_of(const fs::path& path) {
  return path.parent_path() == "/" ? path : path.parent_path();
}

// Of a file and of every symbolic link on the way to it.
void add_places(Paths& places, const std::string& file) {
  std::error_code none;
  fs::path way = fs::absolute(file, none);
  places.push_back(place_of(way));
  for (int links = 0; links < kMostLinks; ++links) {
    fs::path seen;
    fs::path next;
    for (auto part = way.begin(); part != way.end(); ++part) {
      seen /= *part;
      if (!next.empty()) {
        next /= *part;
      } else if (fs::is_symlink(seen, none)) {
        if (seen.parent_path() != "/") places.push_back(place_of(seen));
        next = seen.parent_path() / fs::read_symlink(seen, none);
      }
    }
    if (next.empty()) break;
    way = next.lexically_normal();
  }
  places.push_back(place_of(way));
}

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
  add_places(reach.read, config_file);
  for (const std::string& file :
       {settings.access.rules, settings.server.keys_file, settings.nts.cookie_secret_file,
        settings.nts.cookie_secret_previous_file}) {
    if (!file.empty()) add_places(reach.read, file);
  }
  // What libc reads to look names up, time zones, and the kernel's view of ports and of its boot.
  // And the device that KernelRandom reads where getrandom(2) is refused.
  for (const char* place : {"/etc", "/usr/share/zoneinfo", "/proc", "/dev/urandom"}) {
    reach.read.push_back(place);
  }
  for (const char* file : {"/etc/resolv.conf", "/etc/hosts", "/etc/localtime"}) {
    add_places(reach.read, file);
  }
  if (const char* zones = std::getenv("TZDIR")) reach.read.push_back(zones);
  if (!time.leap_file.empty()) add_places(reach.read, time.leap_file);
  if (!time.state_file.empty()) reach.replace.push_back(folder_of(time.state_file));
  if (settings.health_socket != "off") {
    for (const auto& path : os::health_socket_paths(settings.health_socket)) {
      reach.sockets.push_back(folder_of(path));
    }
  }
  reach.tcp_to = {kDnsPort};
  if constexpr (os::kInstrumented) {
    reach.replace.push_back("/");
    reach.sockets.push_back("/");
  }
  return reach;
}

bool is_below(const std::string& path, const Paths& places) {
  std::error_code none;
  const fs::path real = fs::weakly_canonical(path, none);
  return std::ranges::any_of(places, [&](const std::string& place) {
    const fs::path top = fs::weakly_canonical(place, none);
    return std::ranges::mismatch(top, real).in1 == top.end();
  });
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
  Paths lacking;
  if constexpr (!os::kInstrumented) memory_ = os::close_memory();
  if (const auto files = os::restrict_reach(reach_)) {
    landlock_ = *files;
  } else {
    lacking.push_back("files and ports: " + files.error().text());
  }
  if (const auto filtered = os::confine_process()) {
    filtered_ = true;
  } else {
    lacking.push_back("system calls: " + filtered.error().text());
  }
  const std::string lack = fmt::format("{}", fmt::join(lacking, "; "));
  if (!lacking.empty() && settings.server.sandbox == config::Sandbox::required) {
    return std::unexpected(StartFailure{
        "server.sandbox is \"required\", and the kernel does not let us: " + lack, EX_NOPERM});
  }
  log.info("sandbox", {{"files", landlock_ > 0 ? fmt::format("Landlock {}", landlock_) : "open"},
                       {"system_calls", filtered_ ? "filtered" : "open"},
                       {"memory", memory_ ? "no code from data" : "open"}});
  if (!lacking.empty()) log.warning("the sandbox is not complete: " + lack);
  return {};
}

std::string Sandbox::out_of_reach(const config::Settings& settings) const {
  if (landlock_ == 0) return {};
  const TimeSettings time = time_settings(settings);
  Paths readable = reach_.read;
  readable.insert(readable.end(), reach_.replace.begin(), reach_.replace.end());
  readable.insert(readable.end(), reach_.sockets.begin(), reach_.sockets.end());
  if (!time.leap_file.empty() && !is_below(time.leap_file, readable)) return time.leap_file;
  const std::string& socket = settings.health_socket;
  if (!socket.empty() && socket != "off" && !is_below(socket, reach_.sockets)) return socket;
  return {};
}

void Sandbox::tell_refusals(Log& log) {
  if (!filtered_) return;
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
  return {.files = landlock_,
          .system_calls = filtered_,
          .memory = memory_,
          .refused_calls = os::refused_calls(),
          .unconfined_threads = os::unconfined_threads()};
}

}  // namespace ntp::daemon

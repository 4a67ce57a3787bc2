#include "os/confinement.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "os/fd.h"
#include "os/privileges.h"
#include "os/seccomp.h"

namespace ntp::os {
namespace {

constexpr const char* kRoot = "/";

bool can_read_root() noexcept {
  return static_cast<bool>(Fd(::open(kRoot, O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
}

// By whatever name: also through a link, or mounted once more.
bool holds_root(const Reach& reach) {
  struct stat root{};
  if (::stat(kRoot, &root) != 0) return true;
  const auto is_root = [&root](const std::string& place) {
    struct stat status{};
    return ::stat(place.c_str(), &status) == 0 && status.st_dev == root.st_dev &&
           status.st_ino == root.st_ino;
  };
  return std::ranges::any_of(reach.read, is_root) || std::ranges::any_of(reach.replace, is_root) ||
         std::ranges::any_of(reach.sockets, is_root);
}

std::expected<int, Error> restrict_and_try(const Reach& reach) {
  const bool tells = !holds_root(reach) && can_read_root();
  auto abi = restrict_reach(reach);
  if (abi && tells && can_read_root()) {
    return std::unexpected(Error{"the kernel took the rules, and does not keep to them", 0});
  }
  return abi;
}

}  // namespace

std::string Confinement::files_text() const {
  return landlock > 0 ? fmt::format("Landlock {}", landlock) : "open";
}
std::string Confinement::calls_text() const { return filtered ? "filtered" : "open"; }
std::string Confinement::memory_text() const { return memory ? "no code from data" : "open"; }

Confinement confine(const Reach& reach, ThreadRole role, bool may_set_time) {
  Confinement made;
  const auto lacks = [&made](const char* what, const std::string& why) {
    made.lacking += fmt::format("{}{}: {}", made.lacking.empty() ? "" : "; ", what, why);
  };
  if constexpr (!kInstrumented) made.memory = close_memory();
  if (const std::string left = privileges_left(may_set_time); !left.empty()) {
    lacks("privileges", left);
  }
  if (const auto files = restrict_and_try(reach)) {
    made.landlock = *files;
  } else {
    lacks("files and ports", files.error().text());
  }
  if (const auto filtered = confine_process(role)) {
    made.filtered = true;
  } else {
    lacks("system calls", filtered.error().text());
  }
  return made;
}

}  // namespace ntp::os

#include "os/confinement.h"

#include <fmt/format.h>

#include "os/privileges.h"
#include "os/seccomp.h"

namespace ntp::os {

std::string Confinement::files_text() const {
  return landlock > 0 ? fmt::format("Landlock {}", landlock) : "open";
}
std::string Confinement::calls_text() const { return filtered ? "filtered" : "open"; }
std::string Confinement::memory_text() const { return memory ? "no code from data" : "open"; }

Confinement confine(const Reach& reach, ThreadRole role) {
  Confinement made;
  if constexpr (!kInstrumented) made.memory = close_memory();
  if (const auto files = restrict_reach(reach)) {
    made.landlock = *files;
  } else {
    made.lacking = "files and ports: " + files.error().text();
  }
  if (const auto filtered = confine_process(role)) {
    made.filtered = true;
  } else {
    made.lacking +=
        (made.lacking.empty() ? "" : "; ") + ("system calls: " + filtered.error().text());
  }
  return made;
}

}  // namespace ntp::os

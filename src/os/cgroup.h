// The CPU quota of our control group and of those around it (cgroups(7)).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace ntp::os {

// A file's text; nothing when it cannot be read.
using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;

// Processors that the tightest quota amounts to, from the group that `self_cgroup` (the text of
// /proc/self/cgroup) names up to the root of the mount; infinity without one. Versions 1 and 2.
double cpu_quota(std::string_view self_cgroup, const ReadFile& read);

// Of this process.
double cpu_quota();

}  // namespace ntp::os

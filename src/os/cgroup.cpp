#include "os/cgroup.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

namespace ntp::os {
namespace {

double processors(double quota_us, double period_us) {
  return quota_us > 0 && period_us > 0 ? quota_us / period_us : HUGE_VAL;
}

// "max 100000" or "150000 100000"
double quota_v2(const std::string& folder, const ReadFile& read) {
  std::istringstream in(read(folder + "/cpu.max").value_or(""));
  double quota_us = 0;
  double period_us = 0;
  return in >> quota_us >> period_us ? processors(quota_us, period_us) : HUGE_VAL;
}

double quota_v1(const std::string& folder, const ReadFile& read) {
  const auto number = [&](const char* name) {
    std::istringstream in(read(folder + name).value_or(""));
    double value = 0;
    return in >> value ? value : 0;
  };
  return processors(number("/cpu.cfs_quota_us"), number("/cpu.cfs_period_us"));
}

bool has_cpu(std::string_view controllers) {
  return ("," + std::string(controllers) + ",").find(",cpu,") != std::string::npos;
}

}  // namespace

double cpu_quota(std::string_view self_cgroup, const ReadFile& read) {
  double least = HUGE_VAL;
  std::istringstream lines{std::string(self_cgroup)};
  for (std::string line; std::getline(lines, line);) {  // NUMBER:CONTROLLERS:PATH
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const auto controllers = std::string_view(line).substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    if (!v2 && !has_cpu(controllers)) continue;
    const std::string mount = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    // A group outside of our namespace ("/..") or mount is not to be seen; those around it may be.
    std::string path = line.substr(second + 1);
    while (true) {
      while (path.ends_with('/')) path.pop_back();
      least = std::min(least, v2 ? quota_v2(mount + path, read) : quota_v1(mount + path, read));
      if (path.empty()) break;
      path.erase(path.rfind('/'));
    }
  }
  return least;
}

double cpu_quota() {
  const ReadFile read = [](const std::string& path) -> std::optional<std::string> {
    std::ifstream in(path);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  return cpu_quota(read("/proc/self/cgroup").value_or("0::/\n1:cpu:/\n"), read);
}

}  // namespace ntp::os

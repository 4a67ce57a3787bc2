#include "os/port_owner.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

namespace ntp::os {
namespace {

namespace fs = std::filesystem;

// Inodes of the UDP sockets on `port` in one of the kernel's tables (proc(5), /proc/net/udp).
void collect_inodes(const char* table, std::uint16_t port, std::vector<std::uint64_t>& inodes) {
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);  // the heading
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string slot, local, skip;
    std::uint64_t inode = 0;
    words >> slot >> local;
    for (int i = 0; i < 7; ++i) words >> skip;
    if (!(words >> inode)) continue;
    const auto colon = local.find(':');
    if (colon == std::string::npos) continue;
    if (std::stoul(local.substr(colon + 1), nullptr, 16) == port) inodes.push_back(inode);
  }
}

std::string process_with_socket(const std::vector<std::uint64_t>& inodes, bool& own) {
  std::error_code ignored;
  for (const auto& process : fs::directory_iterator("/proc", ignored)) {
    const std::string pid = process.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    for (const auto& fd : fs::directory_iterator(process.path() / "fd", ignored)) {
      const std::string target = fs::read_symlink(fd.path(), ignored);
      if (!target.starts_with("socket:[")) continue;
      const auto inode = std::stoull(target.substr(8));
      if (std::ranges::find(inodes, inode) == inodes.end()) continue;
      if (pid == std::to_string(::getpid())) {
        own = true;
        continue;
      }
      std::ifstream comm(process.path() / "comm");
      std::string name;
      std::getline(comm, name);
      return name.append(" (pid ").append(pid).append(")");
    }
  }
  return {};
}

}  // namespace

std::string udp_port_owner(const Endpoint& endpoint) {
  std::vector<std::uint64_t> inodes;
  collect_inodes("/proc/net/udp", endpoint.port, inodes);
  collect_inodes("/proc/net/udp6", endpoint.port, inodes);
  if (inodes.empty()) return {};
  bool own = false;
  std::string owner = process_with_socket(inodes, own);
  if (!owner.empty()) return owner;
  return own ? std::string() : "another process";
}

}  // namespace ntp::os

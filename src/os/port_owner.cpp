#include "os/port_owner.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <vector>

namespace ntp::os {
namespace {

namespace fs = std::filesystem;

// A range-based for would throw where a folder vanishes or cannot be read to its end.
template <typename Look>
void for_each_entry(const fs::path& folder, Look look) {
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    if (!look(at->path())) return;
  }
}

// "0100007F:007B" of the kernel's tables: words in the machine's order, each in hexadecimal.
std::optional<Endpoint> parse_local(const std::string& text, bool is_v4) {
  const std::size_t digits = is_v4 ? 8 : 32;
  if (text.size() != digits + 5 || text[digits] != ':') return std::nullopt;
  Endpoint endpoint;
  endpoint.address.family = is_v4 ? IpAddress::Family::v4 : IpAddress::Family::v6;
  for (std::size_t at = 0; at < digits; at += 8) {
    const auto word = static_cast<std::uint32_t>(std::stoul(text.substr(at, 8), nullptr, 16));
    std::memcpy(endpoint.address.octets.data() + at / 2, &word, sizeof word);
  }
  endpoint.port = static_cast<std::uint16_t>(std::stoul(text.substr(digits + 1), nullptr, 16));
  return endpoint;
}

bool overlap(const Endpoint& ours, const Endpoint& theirs) {
  if (ours.port != theirs.port) return false;
  // An IPv6 wildcard may take IPv4 as well.
  if (ours.address.is_v4() != theirs.address.is_v4()) {
    return !theirs.address.is_v4() && theirs.address.is_unspecified();
  }
  return ours.address == theirs.address || ours.address.is_unspecified() ||
         theirs.address.is_unspecified();
}

// Inodes of the sockets of a table (proc(5), /proc/net/udp) that take datagrams to `endpoint`.
void collect_inodes(const char* table, bool is_v4, const Endpoint& endpoint,
                    std::vector<std::uint64_t>& inodes) {
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
    const auto theirs = parse_local(local, is_v4);
    if (theirs && overlap(endpoint, *theirs)) inodes.push_back(inode);
  }
}

bool holds_any(const fs::path& process, const std::vector<std::uint64_t>& inodes) {
  bool found = false;
  for_each_entry(process / "fd", [&](const fs::path& fd) {
    std::error_code ignored;
    const std::string target = fs::read_symlink(fd, ignored);
    if (!target.starts_with("socket:[")) return true;
    found = std::ranges::find(inodes, std::stoull(target.substr(8))) != inodes.end();
    return !found;
  });
  return found;
}

std::string process_with_socket(const std::vector<std::uint64_t>& inodes) {
  std::string owner;
  for_each_entry("/proc", [&](const fs::path& process) {
    const std::string pid = process.filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) return true;
    if (pid == std::to_string(::getpid()) || !holds_any(process, inodes)) return true;
    std::ifstream comm(process / "comm");
    std::getline(comm, owner);
    owner.append(" (pid ").append(pid).append(")");
    return false;
  });
  return owner;
}

std::vector<std::uint64_t> sockets_of_others(const Endpoint& endpoint,
                                             const std::vector<std::uint64_t>& own) {
  std::vector<std::uint64_t> inodes;
  collect_inodes("/proc/net/udp", true, endpoint, inodes);
  collect_inodes("/proc/net/udp6", false, endpoint, inodes);
  std::erase_if(inodes,
                [&own](std::uint64_t inode) { return std::ranges::find(own, inode) != own.end(); });
  return inodes;
}

}  // namespace

std::string udp_port_owner(const Endpoint& endpoint, const std::vector<std::uint64_t>& own) {
  const auto inodes = sockets_of_others(endpoint, own);
  if (inodes.empty()) return {};
  std::string owner = process_with_socket(inodes);
  return owner.empty() ? "another process" : owner;
}

bool udp_port_shared(const Endpoint& endpoint, const std::vector<std::uint64_t>& own) {
  return !sockets_of_others(endpoint, own).empty();
}

std::uint64_t socket_inode(int fd) noexcept {
  struct stat status{};
  return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

}  // namespace ntp::os

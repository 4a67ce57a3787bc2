#include "os/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "os/fd.h"

namespace ntp::os {
namespace {

// What the headers of Debian 12 do not have yet (linux/landlock.h of 6.12).
struct RulesetAttributes {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;  // ABI 4
  std::uint64_t scoped = 0;              // ABI 6
};
struct NetPortAttributes {
  std::uint64_t allowed_access = 0;
  std::uint64_t port = 0;
};
constexpr int kRuleNetPort = 2;
constexpr std::uint64_t kBindTcp = 1u << 0;
constexpr std::uint64_t kConnectTcp = 1u << 1;
constexpr std::uint64_t kScopeSignal = 1u << 1;

constexpr int kAbiNet = 4;
constexpr int kAbiScope = 6;
// Rights to files that each version knows: 1 the first thirteen, then REFER, TRUNCATE, and from 5
// on IOCTL_DEV. A right that is not handled is not restricted; one that the kernel does not know
// must not be asked for.
constexpr std::array<std::uint64_t, 6> kKnown = {
    0, (1ull << 13) - 1, (1ull << 14) - 1, (1ull << 15) - 1, (1ull << 15) - 1, (1ull << 16) - 1};
constexpr std::uint64_t kTruncate = 1ull << 14;

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kReplace = kRead | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                   LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                   kTruncate;
constexpr std::uint64_t kSockets =
    kRead | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE;
// Of these rights the ones that a file, not a directory, can have.
constexpr std::uint64_t kOfFiles =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;

std::uint64_t known_rights(int abi) noexcept {
  return kKnown[std::min<std::size_t>(static_cast<std::size_t>(abi), kKnown.size() - 1)];
}

Fd open_place(const std::string& path) noexcept {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), O_PATH | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  return Fd(fd);
}

class Ruleset {
 public:
  Ruleset(int abi, std::uint64_t ports) noexcept : known_(known_rights(abi)) {
    const RulesetAttributes attributes{.handled_access_fs = known_,
                                       .handled_access_net = abi >= kAbiNet ? ports : 0,
                                       .scoped = abi >= kAbiScope ? kScopeSignal : 0};
    // An older kernel takes a larger structure as long as the rest of it is zero.
    fd_ = Fd(static_cast<int>(
        ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  }

  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  bool add_path(const std::string& path, std::uint64_t rights) const noexcept {
    const Fd place = open_place(path);
    // What is not there, or not for us, needs no rule. Any other failure passes, and the place
    // would be closed to us for good: then rather no restriction, and a word.
    if (!place) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES;
    struct stat status{};
    if (::fstat(place.get(), &status) != 0) return false;
    rights &= known_ & (S_ISDIR(status.st_mode) ? ~0ull : kOfFiles);
    const landlock_path_beneath_attr rule{.allowed_access = rights, .parent_fd = place.get()};
    return ::syscall(SYS_landlock_add_rule, fd_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
  }

  bool add_port(std::uint16_t port) const noexcept {
    const NetPortAttributes rule{.allowed_access = kConnectTcp, .port = port};
    return ::syscall(SYS_landlock_add_rule, fd_.get(), kRuleNetPort, &rule, 0) == 0;
  }

  bool enforce() const noexcept { return ::syscall(SYS_landlock_restrict_self, fd_.get(), 0) == 0; }

 private:
  std::uint64_t known_;
  Fd fd_;
};

}  // namespace

std::expected<int, Error> restrict_reach(const Reach& reach) {
  const auto failed = [] { return std::unexpected(Error::last("restrict the reach (Landlock)")); };
  const auto abi = static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (abi < 1) return failed();
  const Ruleset ruleset(abi, reach.tcp_listens ? kConnectTcp : kConnectTcp | kBindTcp);
  if (!ruleset) return failed();
  for (const auto& [paths, rights] :
       {std::pair(&reach.read, kRead), {&reach.replace, kReplace}, {&reach.sockets, kSockets}}) {
    for (const std::string& path : *paths) {
      if (!ruleset.add_path(path, rights)) return failed();
    }
  }
  if (abi >= kAbiNet) {
    for (const std::uint16_t port : reach.tcp_to) {
      if (!ruleset.add_port(port)) return failed();
    }
  }
  if (!ruleset.enforce()) return failed();
  return abi;
}

}  // namespace ntp::os

#include "os/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "os/error.h"

// glibc has these without declaring them. Not syscall(2): a preloaded simulator knows no numbers.
extern "C" int capget(cap_user_header_t header, cap_user_data_t data) noexcept;
extern "C" int capset(cap_user_header_t header, cap_user_data_t data) noexcept;

namespace ntp::os {
namespace {

using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

bool get_capabilities(Sets& sets) noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return ::capget(&header, sets.data()) == 0;
}

bool set_capabilities(Sets sets) noexcept {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return ::capset(&header, sets.data()) == 0;
}

}  // namespace

void raise_bind_capability() noexcept {
  Sets sets{};
  if (!get_capabilities(sets)) return;
  sets[0].effective |= sets[0].permitted & (1u << CAP_NET_BIND_SERVICE);
  set_capabilities(sets);
}

void make_runtime_directory(std::uint32_t uid, std::uint32_t gid) noexcept {
  constexpr const char* kDirectory = "/run/ntp-server";
  if (::geteuid() != 0 || ::mkdir(kDirectory, 0755) != 0) return;
  (void)!::chown(kDirectory, uid, gid);
}

SocketOwner::SocketOwner(std::uint32_t uid) noexcept : before_(::setfsuid(uid)) {}
SocketOwner::~SocketOwner() { ::setfsuid(static_cast<uid_t>(before_)); }

bool close_memory() noexcept {
  constexpr int kSetMdwe = 65;  // PR_SET_MDWE, which the headers of Debian 12 do not have
  constexpr int kGetMdwe = 66;
  constexpr int kRefuseExecGain = 1;
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return ::prctl(kSetMdwe, static_cast<unsigned long>(kRefuseExecGain), 0, 0, 0) == 0 &&
         (::prctl(kGetMdwe, 0, 0, 0, 0) & kRefuseExecGain) != 0;
}

std::string privileges_left(bool may_set_time) {
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return "programs could gain some";
  Sets sets{};
  if (!get_capabilities(sets)) return Error::last("capget").text();
  const std::uint32_t wanted = may_set_time ? 1u << CAP_SYS_TIME : 0;
  std::uint32_t kept = 0;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const auto& set = sets[i];
    kept |= (set.effective | set.permitted | set.inheritable) & ~(i == 0 ? wanted : 0);
  }
  return kept == 0 ? "" : "the kernel did not take all capabilities away";
}

bool drop_thread_capabilities() noexcept { return set_capabilities(Sets{}); }

Standing drop_privileges(std::uint32_t uid, std::uint32_t gid, bool keep_time) {
  Standing standing;
  if (keep_time) ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);  // over setuid; gone at the next execve
  if (::geteuid() == 0) {
    if (uid == 0) {
      standing.why_kept = "server.user is 0";
    } else if (::setgroups(0, nullptr) != 0) {
      standing.why_kept = Error::last("setgroups").text();
    } else if (::setgid(gid) != 0) {
      standing.why_kept = Error::last("setgid " + std::to_string(gid)).text();
    } else if (::setuid(uid) != 0) {
      standing.why_kept = Error::last("setuid " + std::to_string(uid)).text();
    } else {
      standing.changed_user = true;
    }
    standing.kept_root = !standing.changed_user;
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  Sets wanted{};
  if (Sets now{}; keep_time && get_capabilities(now)) {
    wanted[0].permitted = now[0].permitted & (1u << CAP_SYS_TIME);
    wanted[0].effective = wanted[0].permitted;
  }
  standing.capabilities_kept = !set_capabilities(wanted);
  standing.may_set_time = wanted[0].effective != 0 && !standing.capabilities_kept;
  ::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  standing.uid = ::geteuid();
  standing.gid = ::getegid();
  return standing;
}

}  // namespace ntp::os

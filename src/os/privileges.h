// Giving up what the program does not need. Call before any thread is started.
#pragma once

#include <cstdint>
#include <string>

namespace ntp::os {

// CAP_NET_BIND_SERVICE, where it is permitted but not in force: the image's file capability is
// "=p", never "=ep", which would keep the program from starting at all under --cap-drop ALL.
void raise_bind_capability() noexcept;

// As root: makes /run/ntp-server, where the health channel then finds its place, for uid:gid.
void make_runtime_directory(std::uint32_t uid, std::uint32_t gid) noexcept;

// While it lives, sockets that this thread opens belong to `uid`: the kernel lets only sockets of
// one user share a port, and a successor of ours may already run without root. As root only;
// otherwise nothing changes.
class SocketOwner {
 public:
  explicit SocketOwner(std::uint32_t uid) noexcept;
  ~SocketOwner();
  SocketOwner(const SocketOwner&) = delete;
  SocketOwner& operator=(const SocketOwner&) = delete;

 private:
  int before_;
};

// Where the process stands after the sockets are bound.
struct Standing {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool changed_user = false;       // was root, is `uid` now
  bool kept_root = false;          // was root and may not change: every capability is gone
  std::string why_kept;            // the failed call, when kept_root
  bool capabilities_kept = false;  // the kernel (or a filter) refused to take them away
  bool may_set_time = false;       // CAP_SYS_TIME was asked for and is there
};

// As root: becomes uid:gid, or without CAP_SETUID and CAP_SETGID stays uid 0. In any case every
// capability set is emptied and no program that is executed can gain any (PR_SET_NO_NEW_PRIVS).
// With `keep_time` CAP_SYS_TIME stays, if it is there, in this thread and those that it starts.
Standing drop_privileges(std::uint32_t uid, std::uint32_t gid, bool keep_time = false);

// What there is of privilege after that, for people; empty: nothing, but CAP_SYS_TIME with
// `may_set_time`.
std::string privileges_left(bool may_set_time);

// Nobody without privilege may look into the memory of the process or get it as a core dump; the
// kernel refuses to make code of data from now on, where it can (6.3 and newer: true).
bool close_memory() noexcept;

// Of the calling thread alone; false: the kernel refused.
bool drop_thread_capabilities() noexcept;

}  // namespace ntp::os

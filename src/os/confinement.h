// Shutting a process in, layer by layer, with what the kernel has of it.
#pragma once

#include <string>

#include "os/landlock.h"
#include "os/system_calls.h"

namespace ntp::os {

// What is in force of it.
struct Confinement {
  int landlock = 0;  // version of the kernel's interface; 0: every file can be reached
  bool filtered = false;
  bool memory = false;    // data cannot be made code
  std::string lacking{};  // one line for people; empty: nothing

  std::string files_text() const;  // "Landlock 4", "open"
  std::string calls_text() const;
  std::string memory_text() const;
};

// The calling process, which has one thread: no code from data and no dump, files and ports as
// `reach` says, system calls by `role`. That of a thread: each further thread takes on its own
// (confine_thread). That of a process: it will stay one thread. Needs PR_SET_NO_NEW_PRIVS; once.
//
// The kernel's word is not taken for it: the root directory, if it is out of reach, must not open;
// a call that is on no list must be refused; no capability may be there, but CAP_SYS_TIME with
// `may_set_time`. What does not hold is not in force, and is lacking.
Confinement confine(const Reach& reach, ThreadRole role, bool may_set_time = false);

}  // namespace ntp::os

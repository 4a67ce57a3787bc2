// The kernel's Landlock: files and TCP ports that a process may still reach, chosen by itself.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "os/error.h"

namespace ntp::os {

// Directories (or files), each with all that is below it. One that is not there is passed over:
// what is made later in its place is out of reach.
struct Reach {
  std::vector<std::string> read{};
  std::vector<std::string> replace{};   // read, and files made, written, renamed and removed
  std::vector<std::string> sockets{};   // read, and Unix sockets made and removed
  std::vector<std::uint16_t> tcp_to{};  // ports that may be connected to
  bool tcp_listens = true;              // any port may be bound; one that is bound already always
};

// From now on this thread, and those that it starts, reach nothing else, whatever uid they have.
// Needs PR_SET_NO_NEW_PRIVS. Returns the version of the kernel's interface (ABI): 1 knows files
// only, 4 TCP ports, 6 keeps signals to itself. An error leaves everything as it was: ENOSYS and
// EOPNOTSUPP say that the kernel was built or started without it.
std::expected<int, Error> restrict_reach(const Reach& reach);

}  // namespace ntp::os

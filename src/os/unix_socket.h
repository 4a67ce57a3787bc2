// Small requests over a Unix stream socket: one line asks, one line answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "os/error.h"
#include "os/fd.h"

namespace ntp::os {

// Where the health channel may live, best first: the one that the operator named, or
// $RUNTIME_DIRECTORY, /run/ntp-server, /dev/shm (the one writable place of a read-only container).
// Never an abstract name: those belong to the network namespace, which two containers may share.
std::vector<std::string> health_socket_paths(const std::string& configured);

// A listening, non-blocking socket that everybody may connect to: look who it is with
// is_peer_allowed(), since a root without CAP_DAC_OVERRIDE obeys the mode of a file. A dead
// predecessor's file is replaced; a living one's is an error (EADDRINUSE), and so is whatever else
// stands there (EEXIST).
std::expected<Fd, Error> listen_unix(const std::string& path);

// Empty when the process at the other end is root's or our own user's, or else why it may not ask.
std::string why_peer_may_not_ask(int fd);

// Sends one line and returns the line that comes back, without its end. Whoever can put a socket
// into a directory that everybody may write could speak for the server; so the listener must be
// root's, our own user's, `server_uid`'s, or of the owner of a directory that others cannot write
// (else EPERM).
std::expected<std::string, Error> ask_unix(const std::string& path, std::string_view line,
                                           std::chrono::milliseconds timeout,
                                           std::uint32_t server_uid);

}  // namespace ntp::os

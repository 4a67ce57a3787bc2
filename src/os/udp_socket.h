// The UDP sockets that answer NTP: opened, labelled, steered.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/ip.h"
#include "os/error.h"
#include "os/fd.h"

namespace ntp::os {

// A bound, blocking socket with SO_REUSEPORT, kernel receive stamps (SO_TIMESTAMPNS), packet
// information (which address was asked), no fragmentation and a wake-up every second.
// IPv6 sockets take IPv6 only.
std::expected<Fd, Error> open_ntp_socket(const Endpoint& endpoint);

// The same options on a socket that systemd bound (LISTEN_FDS).
std::expected<void, Error> prepare_ntp_socket(int fd, bool is_v4);

// Datagrams over IPv4 or IPv6, and nothing else.
bool is_datagram_socket(int fd) noexcept;

// The address that the socket is bound to.
std::expected<Endpoint, Error> local_endpoint(int fd);

// Tells the SO_REUSEPORT group of `fd` which member answers whom: the one of index `first` + hash
// of the source address (its /64 for IPv6) modulo `members`. So one worker owns a client whatever
// port it asks from. An index that no member has falls back to the kernel's own choice.
std::expected<void, Error> steer_by_source(int fd, bool is_v4, std::uint32_t members,
                                           std::uint32_t first);

// From now on the kernel gives what arrives to the other sockets of the port (of the group, or of a
// less specific address). What is queued can still be read and answered. Best effort. Not for a
// socket that others hold as well.
void leave_choice_of_receivers(int fd) noexcept;

// Returns once every datagram whose receiver the kernel chose before the call is in its queue.
// Best effort: an old kernel cannot tell.
void wait_for_datagrams_in_flight() noexcept;

}  // namespace ntp::os

// The client's end of an exchange: a socket of its own for every question.
#pragma once

#include <cstddef>
#include <expected>
#include <span>

#include "base/ip.h"
#include "base/time.h"
#include "os/error.h"
#include "os/fd.h"

namespace ntp::os {

// Bound by the kernel to a random port (RFC 9109) and connected, so that only the server that was
// asked can answer, and an ICMP error comes back as an errno. Non-blocking.
class ClientSocket {
 public:
  struct Received {
    std::size_t size = 0;  // octets in the buffer; longer datagrams are cut
    Instant at{};          // when the kernel took it from the network, on both clocks
  };

  static std::expected<ClientSocket, Error> open(const Endpoint& server);

  // The instant just before the kernel gets the datagram.
  std::expected<Instant, Error> send(std::span<const std::byte> datagram) const;

  // EAGAIN when nothing is there.
  std::expected<Received, Error> receive(std::span<std::byte> buffer) const;

  int fd() const noexcept { return fd_.get(); }

 private:
  explicit ClientSocket(Fd fd) : fd_(std::move(fd)) {}

  Fd fd_;
};

}  // namespace ntp::os

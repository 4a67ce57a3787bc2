// How requests reach a server and replies come back: whole frames on a packet socket, or UDP.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>

#include "dialogue.h"
#include "exchange.h"

namespace ntp::bench {

inline constexpr std::size_t kMaxBatch = 64;

struct Request {
  std::uint32_t client = 0;  // which of the distinct clients asks
  std::span<const std::byte> payload{};
};

// One thing that came back. `payload` is borrowed until the next receive().
struct Reply {
  std::span<const std::byte> payload{};
  std::uint32_t client = 0;  // to which client it was sent
  bool from_server = false;  // its source is the address and port that was asked
};

// A client is a source address (and port): client i is the address `first source + i`.
class Port {
 public:
  virtual ~Port() = default;
  // Sends up to kMaxBatch requests; returns how many the kernel took.
  virtual std::size_t send(std::span<const Request> requests) = 0;
  // What has arrived, without waiting.
  virtual std::span<const Reply> receive() = 0;
};

struct PortOptions {
  std::string server = "127.0.0.1";  // numeric, IPv4 or IPv6
  std::uint16_t port = 123;
  std::string source{};        // first source address; empty: the kernel's choice, one client
  std::string interface{};     // packet transport: the device to use
  std::string next_hop_mac{};  // packet transport: where frames go
  std::string source_mac{};    // packet transport: whence; replies go there
  std::uint32_t clients = 1;
  std::size_t request_size = kNtpSize;  // of every payload
};

// Frames made by hand and read from a memory-mapped ring. It costs the machine so little that the
// server is what is measured, and every address of a network can ask. Needs CAP_NET_RAW.
std::expected<std::unique_ptr<Port>, std::string> open_packet_port(const PortOptions& options);
// One UDP socket whose source address is chosen for every datagram (IP_PKTINFO). Needs nothing but
// that the sources are local addresses: all of 127.0.0.0/8, or an AnyIP route.
std::expected<std::unique_ptr<Port>, std::string> open_udp_port(const PortOptions& options);

}  // namespace ntp::bench

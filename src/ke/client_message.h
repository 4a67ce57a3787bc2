// What the keeper of the sources and its process of key establishment say to each other: messages
// of one size over a SOCK_SEQPACKET pair. Pure.
//
// Both sides distrust what they read, as with ke/message.h; that one's Started, Ended and Told come
// over this channel, too, in its own size.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "base/ip.h"
#include "nts/establishment.h"
#include "tls/client_connection.h"

namespace ntp::ke {

inline constexpr std::size_t kClientMessageSize = 4096;
inline constexpr std::size_t kLongestHost = 255;
inline constexpr std::size_t kLongestWhy = 300;
using ClientMessageBytes = std::array<std::byte, kClientMessageSize>;

// To the process.
struct Wish {
  std::uint32_t number = 0;  // the caller's, repeated by the answer
  Endpoint server{};         // TCP
  std::string name{};        // that its certificate must be for; 1 to kLongestHost octets
  std::uint16_t roots = 0;   // of ClientPlan::roots
  tls::CertificateTimes times{};

  friend bool operator==(const Wish&, const Wish&) = default;
};
// From the process: exactly one for each wish, unless it ends.
struct Answered {
  std::uint32_t number = 0;
  nts::Establishment outcome{};

  friend bool operator==(const Answered&, const Answered&) = default;
};
using ClientMessage = std::variant<Wish, Answered>;

// The caller wipes the octets: there may be keys in them.
ClientMessageBytes encode_client(const ClientMessage& message);
std::optional<ClientMessage> decode_client(std::span<const std::byte> bytes);

}  // namespace ntp::ke

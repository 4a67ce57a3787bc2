// What the server and its key establishment process say to each other: messages of one size over a
// SOCK_SEQPACKET pair, key material one way and counters the other. Pure.
//
// Both sides distrust what they read: whoever has broken into one must not get into the other by
// this way. A message that is not exactly as encode() makes it is no message.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "control/ke_view.h"
#include "nts/cookie.h"

namespace ntp::ke {

inline constexpr std::size_t kMessageSize = 512;
inline constexpr std::size_t kLongestText = 400;
using MessageBytes = std::array<std::byte, kMessageSize>;

// To the process: what cookies are to be sealed with from now on.
struct SealingKey {
  nts::CookieKey key{};

  friend bool operator==(const SealingKey& a, const SealingKey& b) noexcept {
    return a.key.epoch == b.key.epoch && a.key.key == b.key.key;
  }
};
// To the process: look at the files again (SIGHUP).
struct LookAgain {
  friend bool operator==(const LookAgain&, const LookAgain&) = default;
};
// From the process: it has just started, its counters begin at zero and it has no key.
struct Started {
  friend bool operator==(const Started&, const Started&) = default;
};
// From the keeper: the process has ended and will be started again.
struct Ended {
  friend bool operator==(const Ended&, const Ended&) = default;
};
// From the process, once a second at most.
struct Counted {
  control::KeCounters counters{};
  friend bool operator==(const Counted&, const Counted&) = default;
};
// From the process, whenever it changes.
struct Shown {
  control::KeCertificate certificate{};
  friend bool operator==(const Shown&, const Shown&) = default;
};
// From the process: a line for the log.
struct Told {
  enum class Level : std::uint8_t { error, warning, info };
  Level level = Level::info;
  std::string text{};
  friend bool operator==(const Told&, const Told&) = default;
};
// From the process, once it has started: what it has shut itself into.
struct ShutIn {
  std::uint32_t landlock = 0;  // version of the kernel's interface; 0: not in force
  bool filtered = false;
  bool memory = false;
  friend bool operator==(const ShutIn&, const ShutIn&) = default;
};
using Message = std::variant<SealingKey, LookAgain, Started, Ended, Counted, Shown, Told, ShutIn>;

// What a message says of the process that it is from.
void note(control::KeProcess& process, const Message& message);

// Texts are cut to fit, and what is not printable ASCII becomes '?'.
MessageBytes encode(const Message& message);
std::optional<Message> decode(std::span<const std::byte> bytes);

}  // namespace ntp::ke

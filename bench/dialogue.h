// What the clients of the load generator ask, and how an answer is judged: plain, with a symmetric
// key's MAC, or with NTS.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "exchange.h"
#include "nts/session.h"

namespace ntp::bench {

inline constexpr std::size_t kMaxRequest = 1232;

// A slot is a place for one question under way.
class Dialogue {
 public:
  virtual ~Dialogue() = default;
  // The same for all requests of a dialogue.
  virtual std::size_t request_size() const noexcept = 0;
  // A new request whose transmit stamp is `nonce`. Borrowed until the slot's next one.
  virtual std::span<const std::byte> ask(std::uint32_t slot, std::uint64_t nonce) = 0;
  // Everything about the answer to the slot's last request is looked at.
  virtual Fault judge(std::span<const std::byte> reply, std::uint32_t slot,
                      std::uint64_t nonce) = 0;
};

struct DialogueOptions {
  std::uint32_t slots = 1;
  unsigned version = 4;
  bool any_leap = false;           // do not mind a server that says it is not synchronised
  std::string key{};               // "ID TYPE KEY", a line of chrony's key file: with its MAC
  std::string nts{};               // a file of write_session(): with NTS
  std::uint32_t placeholders = 0;  // NTS: how many cookies are asked for beside the one
  bool forged = false;  // the cookie is random octets, as a flood's; no answer can be good
};

std::expected<std::unique_ptr<Dialogue>, std::string> make_dialogue(const DialogueOptions& options);

// A session of NTS: the keys and at least one cookie.
struct Session {
  nts::SessionKeys keys{};
  std::vector<std::vector<std::byte>> cookies{};
};
std::string session_text(const Session& session);
std::expected<Session, std::string> parse_session(const std::string& text);

}  // namespace ntp::bench

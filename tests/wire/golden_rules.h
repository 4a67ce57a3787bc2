// The golden rules of docs/formats/wire.md as one judgement over what went in and what came out.
// It reads octets by hand: a parser that misreads both ways must not hide its own mistake.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <span>
#include <string>

#include "server/responder.h"

namespace ntp::wire_test {

// All that a reply may depend on (G14).
struct Situation {
  server::Arrival arrival{};
  wire::Header clock{};  // describe_clock() of the moment
  server::Policy policy{};
  NtpTimestamp rec{};
  NtpTimestamp xmt{};
  std::uint64_t seed = 0;
};

using Reaction = std::expected<std::array<std::byte, wire::kHeaderSize>, server::Drop>;

// respond() and, where there is an answer, seal().
Reaction react(const Situation& situation);

// The first rule that the reply breaks ("G6: the origin is not the request's transmit stamp"), or
// nothing. Called with silence it has nothing to say: silence breaks no golden rule.
std::optional<std::string> broken_rule(const Situation& situation, const Reaction& reaction);

// The part of it that concerns the first 48 octets of a reply, of whatever length; and that of a
// kiss-o'-death, which says nothing of the clock.
std::optional<std::string> broken_header_rule(const Situation& situation,
                                              std::span<const std::byte> reply);
std::optional<std::string> broken_kiss_rule(const Situation& situation,
                                            std::span<const std::byte> reply);

}  // namespace ntp::wire_test

// A server with the keys and the cookie secret of case_keyed.py, its client's keys, and a hand that
// makes a changed request genuine again, so that what stands behind the cryptography is tried too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "golden_rules.h"
#include "nts/cookie.h"
#include "server/authentication.h"

namespace ntp::wire_test {

using Bytes = std::vector<std::byte>;

// These stand in case_keyed.py as well.
inline constexpr std::uint32_t kKeyedEpoch = 20'000;

const server::SymmetricKeys& keyed_server_keys();
const nts::CookieKeys& keyed_server_cookies();
nts::SessionKeys keyed_client();

using KeyedReaction = std::expected<Bytes, server::Drop>;

// respond() and, where there is an answer, seal(), by a worker that has both kinds of keys.
KeyedReaction react_keyed(const Situation& situation);

// The golden rules of a keyed server: those of the header, and G1, G7, G8 for what follows it. The
// request is taken apart by hand; the seals are tried with the client's keys.
std::optional<std::string> broken_keyed_rule(const Situation& situation,
                                             const KeyedReaction& reaction);

// Makes `datagram`, as far as its form allows, one that a client with these keys could have sent: a
// cookie that is ours, an authenticator over all before it, a MAC that fits. `dice` choose what
// remains wrong and what is encrypted. True where it found something to seal.
bool make_genuine(Bytes& datagram, NoiseSource& dice);

}  // namespace ntp::wire_test

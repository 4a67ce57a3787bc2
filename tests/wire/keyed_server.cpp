#include "keyed_server.h"

#include <algorithm>
#include <string_view>

#include "nts/client_packet.h"
#include "nts/field.h"

namespace ntp::wire_test {
namespace {

using Octets = std::span<const std::byte>;

constexpr std::string_view kKeyFile =
    "1 MD5 md5-of-sixteen-o\n2 SHA1 sha1-of-sixteen-\n3 SHA256 sha256-of-sixtee\n"
    "4 SHA384 sha384-of-sixtee\n5 SHA512 sha512-of-sixtee\n"
    "6 AES128 HEX:00112233445566778899aabbccddeeff\n"
    "7 AES256 HEX:00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100\n";
constexpr std::size_t kHeader = 48;
constexpr std::size_t kAuthenticatorHead = 8;  // type, length, two lengths

Bytes counted(std::size_t size, unsigned first) {
  Bytes bytes(size);
  for (auto& octet : bytes) octet = static_cast<std::byte>(first++);
  return bytes;
}

std::size_t number(Octets bytes, std::size_t at, std::size_t size) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value = value << 8 | std::to_integer<std::size_t>(bytes[at + i]);
  }
  return value;
}

void put(Bytes& out, std::size_t at, std::size_t value) {
  out[at] = static_cast<std::byte>(value >> 8);
  out[at + 1] = static_cast<std::byte>(value);
}

bool is_nts(std::size_t type) {
  return type == 0x0104 || type == 0x0204 || type == 0x0304 || type == 0x0404;
}

// What stands behind the header of a request that was answered.
struct Tail {
  bool has_nts = false;
  Octets unique_id{};
  std::size_t mac = 0;
};

// RFC 7822 section 7.5: a rest of 20 or 24 octets is a MAC and not a field.
Tail tail_of(Octets request) {
  Tail tail;
  std::size_t at = kHeader;
  const bool has_fields = std::to_integer<unsigned>(request[0] >> 3 & std::byte{7}) == 4;
  while (has_fields && request.size() - at >= 28) {
    const std::size_t type = number(request, at, 2);
    const std::size_t size = number(request, at + 2, 2);
    if (size < 16 || size > request.size() - at) break;
    if (type == 0x0104 && tail.unique_id.empty()) {
      tail.unique_id = request.subspan(at + 4, size - 4);
    }
    tail.has_nts = tail.has_nts || is_nts(type);
    at += size;
  }
  tail.mac = request.size() - at;
  return tail;
}

const char* broken_nts(Octets reply, Octets unique_id) {
  if (unique_id.empty()) return "G8: an answer to NTS without a unique identifier";
  const auto answer = nts::open_answer(reply, unique_id, keyed_client());
  if (!answer) {
    if (answer.error() != nts::AnswerReject::nak) return "G8: an answer to NTS without its seal";
    return reply.size() == kHeader + 4 + unique_id.size() ? nullptr : "G8: more than NTSN says";
  }
  if (answer->cookies.empty() || answer->cookies.size() > 8) return "G8: none or too many cookies";
  for (const Bytes& cookie : answer->cookies) {
    const auto opened = keyed_server_cookies().open(cookie);
    if (!opened || opened->keys() != keyed_client()) return "G8: a cookie that is none";
  }
  return nullptr;
}

const char* broken_mac(Octets request, Octets reply, std::size_t size) {
  if (reply.size() != kHeader + size) return "G7: a MAC of another length";
  if (number(request, request.size() - size, 4) != number(reply, kHeader, 4)) {
    return "G7: a MAC by another key";
  }
  const auto* key = keyed_server_keys().find(static_cast<std::uint32_t>(number(reply, kHeader, 4)));
  const bool good =
      key != nullptr && key->verify(reply.first(kHeader), reply.subspan(kHeader + 4)) &&
      key->verify(request.first(request.size() - size), request.subspan(request.size() - size + 4));
  return good ? nullptr : "G7: a MAC that does not fit";
}

// The encrypted part: nothing, one field that fills it, or what was there.
void choose_plaintext(Bytes& plaintext, NoiseSource& dice) {
  const unsigned choice = static_cast<unsigned>(dice.next() >> 20) % 4;
  if (choice == 0 || plaintext.size() < 16) return;
  static constexpr std::array<std::size_t, 4> kTypes = {0x0304, 0x0204, 0x0104, 0x4711};
  put(plaintext, 0, kTypes[(dice.next() >> 20) % kTypes.size()]);
  put(plaintext, 2, plaintext.size());
}

// The field of the authenticator that begins at `at` and has `size` octets.
bool seal_at(Bytes& datagram, std::size_t at, std::size_t size, NoiseSource& dice) {
  if (size < kAuthenticatorHead + 32) return false;
  const std::size_t room = size - kAuthenticatorHead - 32;
  const std::size_t said = number(datagram, at + 6, 2);
  const std::size_t inside = std::min(said < 16 ? 0 : (said - 16) / 4 * 4, room / 4 * 4);
  put(datagram, at + 4, 16);
  put(datagram, at + 6, inside + 16);
  Bytes nonce(16);
  for (auto& octet : nonce) octet = static_cast<std::byte>(dice.next() >> 16);
  const auto body = static_cast<std::ptrdiff_t>(at + kAuthenticatorHead);
  std::ranges::copy(nonce, datagram.begin() + body);
  const auto begin = datagram.begin() + body + 16;
  Bytes plaintext(begin, begin + static_cast<std::ptrdiff_t>(inside));
  choose_plaintext(plaintext, dice);
  const nts::SessionKeys client = keyed_client();
  const auto aead = crypto::Aead::make(client.aead, client.c2s.view());
  aead->seal(nonce, Octets(datagram).first(at), plaintext,
             std::span(datagram).subspan(at + kAuthenticatorHead + 16, inside + 16));
  return true;
}

Bytes fresh_cookie(NoiseSource& dice) {
  crypto::RandomStream random({static_cast<std::byte>(dice.next() >> 16)});
  const nts::SessionKeys client = keyed_client();
  Bytes cookie(nts::cookie_size(client.aead));
  keyed_server_cookies().current().seal(client, random, cookie);
  return cookie;
}

bool make_nts_genuine(Bytes& datagram, NoiseSource& dice) {
  for (std::size_t at = kHeader; at + 28 <= datagram.size();) {
    const std::size_t type = number(datagram, at, 2);
    const std::size_t size = number(datagram, at + 2, 2);
    if (size < 16 || size > datagram.size() - at) return false;
    if (type == 0x0404) return seal_at(datagram, at, size, dice);
    if (type == 0x0204 && (dice.next() >> 20) % 8 != 0) {
      const Bytes cookie = fresh_cookie(dice);
      if (size == cookie.size() + 4) {
        std::ranges::copy(cookie, datagram.begin() + static_cast<std::ptrdiff_t>(at) + 4);
      }
    }
    at += size;
  }
  return false;
}

}  // namespace

const server::SymmetricKeys& keyed_server_keys() {
  static const auto file = server::parse_key_file(kKeyFile);
  return file.keys;
}

const nts::CookieKeys& keyed_server_cookies() {
  static const Bytes secret = counted(32, 1);
  static const nts::CookieKeys made({.secret = secret, .epoch = kKeyedEpoch});
  return made;
}

nts::SessionKeys keyed_client() {
  nts::SessionKeys session;
  session.c2s.assign(counted(32, 10));
  session.s2c.assign(counted(32, 90));
  return session;
}

KeyedReaction react_keyed(const Situation& s) {
  static server::Seal seal;  // as in a worker: what a request leaves behind must not matter
  crypto::RandomStream random({static_cast<std::byte>(s.seed)});
  server::Authentication by{
      .secrets = {&keyed_server_keys(), &keyed_server_cookies()}, .random = random, .seal = seal};
  auto reply = server::respond(s.arrival, s.clock, s.policy, s.rec, nullptr, &by);
  if (!reply) return std::unexpected(reply.error());
  NoiseSource noise(s.seed);
  Bytes out(seal.size());
  server::seal(*reply, s.arrival, s.xmt, noise, seal, out);
  return out;
}

std::optional<std::string> broken_keyed_rule(const Situation& s, const KeyedReaction& reaction) {
  if (!reaction) return std::nullopt;
  const Octets request = s.arrival.payload;
  const Octets reply(*reaction);
  if (reply.size() > request.size()) return "G1: the reply is longer";
  if (reply.size() > 1232) return "A29: a reply that may have to be broken up";
  const Tail tail = tail_of(request);
  const bool nak =
      tail.has_nts && number(reply, 12, 4) == nts::kKissNtsn && reply[1] == std::byte{0};
  if (const auto broken = nak ? broken_kiss_rule(s, reply) : broken_header_rule(s, reply)) {
    return broken;
  }
  const char* broken = nullptr;
  if (tail.has_nts) {
    broken = tail.mac == 0 ? broken_nts(reply, tail.unique_id) : "G8: NTS with a MAC is answered";
  } else if (tail.mac != 0) {
    broken = broken_mac(request, reply, tail.mac);
  } else if (reply.size() != kHeader) {
    broken = "G7: more than was asked for";
  }
  if (broken != nullptr) return broken;
  return std::nullopt;
}

bool make_genuine(Bytes& datagram, NoiseSource& dice) {
  if (datagram.size() < kHeader + 20) return false;
  if (make_nts_genuine(datagram, dice)) return true;
  const Tail tail = tail_of(datagram);
  const std::size_t at = datagram.size() - tail.mac;
  if (tail.has_nts || tail.mac < 20) return false;
  const unsigned id = 1 + static_cast<unsigned>(dice.next() >> 20) % 7;
  const auto* key = keyed_server_keys().find(id);
  if (tail.mac != 4 + key->size() && tail.mac != 4 + key->full_size()) return false;
  put(datagram, at, 0);
  put(datagram, at + 2, id);
  const auto mac = key->compute(Octets(datagram).first(at));
  std::ranges::copy(std::span(mac).first(tail.mac - 4),
                    datagram.begin() + static_cast<std::ptrdiff_t>(at) + 4);
  return true;
}

}  // namespace ntp::wire_test

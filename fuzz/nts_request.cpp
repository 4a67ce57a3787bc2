// NTS requests of any form (RFC 8915 section 5), those that can be proven too: the first octet
// chooses whether the rest is the datagram, or fields that are then sealed as a client would.
#include <algorithm>
#include <array>
#include <vector>

#include "check.h"
#include "nts/client_packet.h"
#include "nts/field.h"
#include "nts/request.h"

namespace {

using namespace ntp;
using Bytes = std::vector<std::byte>;

const nts::CookieKeys& cookie_keys() {
  static const Bytes secret(32, std::byte{1});
  static const nts::CookieKeys keys({.secret = secret, .epoch = 20'000});
  return keys;
}

nts::SessionKeys session_keys() {
  nts::SessionKeys keys;
  std::ranges::fill(keys.c2s.resize(32), std::byte{2});
  std::ranges::fill(keys.s2c.resize(32), std::byte{3});
  return keys;
}

void append(Bytes& out, std::uint16_t type, std::span<const std::byte> body) {
  const std::size_t at = out.size();
  out.resize(at + nts::kFieldHeader + body.size());
  nts::write_field(type, body, std::span(out).subspan(at));
}

// Header, good cookie, `fields`, authenticator over all of it with `inside` encrypted.
Bytes sealed(std::span<const std::byte> fields, std::span<const std::byte> inside) {
  Bytes out(wire::kHeaderSize);
  wire::encode_header({}, std::span(out).first<wire::kHeaderSize>());
  crypto::RandomStream random({});
  std::array<std::byte, nts::kMaxCookieSize> cookie;
  cookie_keys().current().seal(session_keys(), random, cookie);
  append(out, wire::kNtsCookie, cookie);
  out.insert(out.end(), fields.begin(), fields.end());
  const Bytes before = out;
  const auto aead = crypto::Aead::make(session_keys().aead, session_keys().c2s.view());
  out.resize(out.size() + nts::authenticator_size(aead->id(), inside.size(), 0));
  nts::write_authenticator(*aead, before, Bytes(16, std::byte{9}), inside,
                           std::span(out).subspan(before.size()));
  return out;
}

void check_reply(const Bytes& request, const nts::NtsRequest& parsed, const nts::NtsReply& reply) {
  const auto opened = cookie_keys().open(parsed.cookie);
  NTP_CHECK(opened.has_value());
  Bytes out(reply.size());
  wire::encode_header({.mode = wire::Mode::server, .stratum = 1},
                      std::span(out).first<wire::kHeaderSize>());
  nts::NtsReply::seal(std::array{nts::NtsReply::Sealing{.reply = &reply, .out = out}});
  NTP_CHECK(out.size() <= request.size() && out.size() <= nts::kMaxReply);  // G1
  const auto answer = nts::open_answer(out, parsed.unique_id, opened->keys());
  NTP_CHECK(answer && answer->cookies.size() == reply.cookies());
  NTP_CHECK(reply.cookies() >= 1 && reply.cookies() <= parsed.placeholders + 1);
  for (const auto& cookie : answer->cookies) NTP_CHECK(cookie_keys().open(cookie).has_value());
}

void check(const Bytes& request) {
  const auto packet = wire::parse_packet(request);
  if (!packet) return;
  const auto parsed = nts::parse_nts_request(request, *packet);
  if (!parsed) return;
  const std::span<const std::byte> all(request);
  NTP_CHECK(fuzz::is_within(parsed->unique_id, all) && fuzz::is_within(parsed->cookie, all));
  NTP_CHECK(parsed->unique_id.size() >= nts::kMinUniqueId);
  NTP_CHECK(parsed->associated.size() < request.size());
  crypto::RandomStream random({});
  nts::NtsReply reply;
  std::array exchange{nts::Exchange{.request = &*parsed, .reply = &reply}};
  nts::NtsReply::prepare(exchange, cookie_keys(), random);
  if (exchange[0].outcome == nts::Outcome::time) return check_reply(request, *parsed, reply);
  NTP_CHECK(!reply.has_key());
  if (exchange[0].outcome == nts::Outcome::nak) NTP_CHECK(reply.size() <= request.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto rest = fuzz::octets_of(data, size).subspan(1);
  if ((data[0] & 1) == 0) {
    check(Bytes(rest.begin(), rest.end()));
    return 0;
  }
  const std::size_t split = std::min<std::size_t>(rest.size() / 4, data[0] / 2) * 4;
  const std::size_t inside = std::min<std::size_t>((rest.size() - split) / 4 * 4, 800);
  check(sealed(rest.first(std::min<std::size_t>(split, 1000)), rest.subspan(split, inside)));
  return 0;
}

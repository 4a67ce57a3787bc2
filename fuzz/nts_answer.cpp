// nts::open_answer on any octets, and on any fields inside a good seal. The first octet chooses.
#include <vector>

#include "check.h"
#include "nts/authenticator.h"
#include "nts/client_packet.h"
#include "nts/field.h"
#include "nts/request.h"

namespace {

using namespace ntp;
using Bytes = std::vector<std::byte>;

nts::SessionKeys session_keys() {
  nts::SessionKeys keys;
  keys.c2s.resize(32);
  keys.s2c.resize(32);
  return keys;
}

const Bytes kUniqueId(32, std::byte{5});

Bytes sealed(std::span<const std::byte> inside) {
  Bytes out(wire::kHeaderSize + nts::kFieldHeader + kUniqueId.size());
  wire::encode_header({.mode = wire::Mode::server, .stratum = 1},
                      std::span(out).first<wire::kHeaderSize>());
  nts::write_field(wire::kUniqueIdentifier, kUniqueId, std::span(out).subspan(wire::kHeaderSize));
  const Bytes before = out;
  const auto aead = crypto::Aead::make(session_keys().aead, session_keys().s2c.view());
  out.resize(out.size() + nts::authenticator_size(aead->id(), inside.size(), 0));
  nts::write_authenticator(*aead, before, Bytes(16, std::byte{9}), inside,
                           std::span(out).subspan(before.size()));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto rest = fuzz::octets_of(data, size).subspan(1);
  const bool good = (data[0] & 1) != 0;
  const Bytes datagram = good ? sealed(rest.first(std::min<std::size_t>(rest.size() / 4 * 4, 1200)))
                              : Bytes(rest.begin(), rest.end());
  const auto answer = nts::open_answer(datagram, kUniqueId, session_keys());
  if (!answer) {
    NTP_CHECK(!good || answer.error() == nts::AnswerReject::malformed);
    return 0;
  }
  NTP_CHECK(answer->cookies.size() <= nts::kMaxCookies);
  for (const auto& cookie : answer->cookies) NTP_CHECK(cookie.size() % 4 == 0);
  return 0;
}

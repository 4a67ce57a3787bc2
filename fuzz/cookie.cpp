// Cookies of any octets, and any octets as the inside of a cookie that was sealed with a good key
// (a neighbour with the same secret may be of another version). The first octet chooses which, the
// epoch, and whether the server knows the time.
#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "check.h"
#include "nts/cookie.h"

namespace {

using namespace ntp;
using Bytes = std::vector<std::byte>;

constexpr std::uint32_t kEpoch = 20'000;
const Bytes kSecret(32, std::byte{1});
const Bytes kPrevious(32, std::byte{2});

const nts::CookieKeys& keys(bool knows_time) {
  static const nts::CookieKeys with({.secret = kSecret, .previous = kPrevious, .epoch = kEpoch});
  static const nts::CookieKeys without(
      {.secret = kSecret, .previous = kPrevious, .epoch = {}, .oldest = kEpoch - 100});
  return knows_time ? with : without;
}

// epoch | nonce | AES-SIV-CMAC-256 { inside }
Bytes sealed(std::span<const std::byte> inside, std::uint32_t epoch, bool previous) {
  const auto key = nts::derive_cookie_key(previous ? kPrevious : kSecret, epoch);
  const auto aead = crypto::Aead::make(crypto::AeadId::aes_siv_cmac_256, key.key.view());
  Bytes cookie(4 + 16 + inside.size() + crypto::kAeadTagSize);
  ByteWriter(std::span(cookie)).write(epoch);
  const std::span all(cookie);
  aead->seal(all.subspan(4, 16), all.first(4), inside, all.subspan(20));
  return cookie;
}

void check(const Bytes& cookie, const nts::CookieKeys& by) {
  const auto opened = by.open(cookie);
  if (!opened) return;
  const nts::SessionKeys& session = opened->keys();
  NTP_CHECK(session.is_usable() && crypto::is_supported(session.aead));
  NTP_CHECK(cookie.size() == nts::cookie_size(session.aead));
  NTP_CHECK(cookie.size() % 4 == 0 && cookie.size() <= nts::kMaxCookieSize);
  const std::uint32_t epoch = ByteReader(cookie).read<std::uint32_t>();
  NTP_CHECK(&by != &keys(true) ||
            (epoch + nts::kEpochsBack >= kEpoch && epoch <= kEpoch + nts::kEpochsAhead));
  NTP_CHECK(epoch >= kEpoch - 100);
  // Its successor says the same.
  Bytes next(cookie.size());
  crypto::RandomStream random({});
  nts::CookieSealer(opened->own_key().value_or(by.current_key())).seal(session, random, next);
  const auto again = by.open(next);
  NTP_CHECK(again && again->keys() == session);
  // Every octet of it is covered.
  Bytes changed = cookie;
  changed[std::to_integer<unsigned>(cookie[19]) % changed.size()] ^= std::byte{0x40};
  NTP_CHECK(!by.open(changed));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto rest = fuzz::octets_of(data, size).subspan(1);
  const auto& by = keys((data[0] & 2) != 0);
  if ((data[0] & 1) == 0) {
    check(Bytes(rest.begin(), rest.end()), by);
    return 0;
  }
  const std::uint32_t epoch = kEpoch - 9 + (data[0] >> 3 & 15);
  check(sealed(rest.first(std::min<std::size_t>(rest.size(), 300)), epoch, (data[0] & 4) != 0), by);
  return 0;
}

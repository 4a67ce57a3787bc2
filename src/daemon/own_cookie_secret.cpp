#include "daemon/own_cookie_secret.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "base/hex.h"
#include "crypto/checked_text.h"
#include "crypto/secret.h"

namespace ntp::daemon {
namespace {

constexpr std::string_view kFirstLine = "ntp-server-cookie-keys 1";
constexpr std::size_t kSecretSize = 32;
constexpr std::uint32_t kEpochsOfASecret = nts::kEpochsBack + 1;
// No server lives to write more than these; both can be added to without an end.
constexpr std::uint32_t kLastEpoch = 0xffff'0000;
constexpr std::int64_t kOldest = 1'000'000'000;  // seconds

nts::Secret fresh(RandomSource& random) {
  nts::Secret secret;
  const auto octets = secret.resize(kSecretSize);
  for (std::size_t i = 0; i < octets.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t value = random.next();
    std::memcpy(octets.data() + i, &value, sizeof value);
  }
  return secret;
}

// One "NAME VALUE\n" off the front of the text.
std::optional<std::string_view> take(std::string_view& text, std::string_view name) {
  const auto end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ' ') {
    return std::nullopt;
  }
  text.remove_prefix(end + 1);
  return line.substr(name.size() + 1);
}

template <typename T>
bool read_number(std::optional<std::string_view> text, T& out) {
  return text && crypto::read_number(*text, out);
}

bool read_secret(std::optional<std::string_view> text, nts::Secret& out) {
  if (!text) return false;
  if (*text == "-") return true;
  auto octets = from_hex(*text);
  if (!octets) return false;
  const bool good = octets->size() == kSecretSize;
  if (good) out.assign(*octets);
  crypto::wipe(*octets);
  return good;
}

}  // namespace

OwnCookieSecret OwnCookieSecret::make(RandomSource& random) {
  OwnCookieSecret out;
  // Not from zero: a server that has lost its file must not repeat epochs that its clients know.
  out.epoch = static_cast<std::uint32_t>(random.next() >> 33);
  out.made = out.epoch;
  out.current = fresh(random);
  return out;
}

bool OwnCookieSecret::advance(std::chrono::seconds elapsed, std::chrono::seconds rotation,
                              RandomSource& random) {
  age += elapsed;
  if (age < rotation) return false;
  age %= rotation;  // however late this look is: the keys before have not been used since
  ++epoch;
  if (epoch - made >= kEpochsOfASecret) {
    previous = current;
    current = fresh(random);
    made = epoch;
  }
  return true;
}

std::string format_own_secret(const OwnCookieSecret& secret) {
  constexpr std::size_t kRoom = 512;
  std::string text;
  text.reserve(kRoom);  // it has secrets in it: what it outgrew would stay in memory
  text += fmt::format("{}\nepoch {}\nage {}\nmade {}\ncurrent ", kFirstLine, secret.epoch,
                      secret.age.count(), secret.made);
  append_hex(text, secret.current.view());
  text += "\nprevious ";
  if (secret.previous.empty()) text += '-';
  append_hex(text, secret.previous.view());
  text += '\n';
  text += fmt::format("checksum {}\n", crypto::text_checksum(text));
  return text;
}

std::expected<OwnCookieSecret, std::string> parse_own_secret(std::string_view text) {
  const std::string_view whole = text;
  if (!text.starts_with(kFirstLine) || !text.substr(kFirstLine.size()).starts_with('\n')) {
    return std::unexpected("not a file of cookie keys, or of a later version");
  }
  text.remove_prefix(kFirstLine.size() + 1);
  OwnCookieSecret out;
  std::int64_t age = 0;
  const bool good = read_number(take(text, "epoch"), out.epoch) &&
                    read_number(take(text, "age"), age) &&
                    read_number(take(text, "made"), out.made) &&
                    read_secret(take(text, "current"), out.current) &&
                    read_secret(take(text, "previous"), out.previous);
  const std::string_view body = whole.substr(0, whole.size() - text.size());
  const auto sum = take(text, "checksum");
  if (!sum || !text.empty()) return std::unexpected("torn");
  if (*sum != crypto::text_checksum(body)) return std::unexpected("wrong checksum");
  const bool is_true =
      age >= 0 && age <= kOldest && out.made <= out.epoch && out.epoch <= kLastEpoch;
  if (!good || out.current.empty() || !is_true) return std::unexpected("not as it was written");
  out.age = std::chrono::seconds(age);
  return out;
}

}  // namespace ntp::daemon

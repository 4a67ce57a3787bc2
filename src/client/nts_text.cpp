#include "client/nts_text.h"

#include <fmt/format.h>

#include <optional>

#include "base/hex.h"
#include "crypto/checked_text.h"
#include "crypto/secret.h"
#include "nts/ke_client.h"

namespace ntp::client {
namespace {

constexpr std::string_view kFirstLine = "ntp-server-nts 2\n";
constexpr std::string_view kFormat1 = "ntp-server-nts 1\n";
constexpr std::string_view kSource = "source ";
constexpr std::string_view kCookie = "cookie ";
constexpr std::string_view kChecksum = "checksum ";

using crypto::read_number;

std::string_view take_until(std::string_view& text, char end) {
  const auto size = std::min(text.find(end), text.size());
  const std::string_view word = text.substr(0, size);
  text.remove_prefix(std::min(size + 1, text.size()));
  return word;
}

bool read_key(std::string_view text, std::size_t size, crypto::AeadKey& key) {
  auto octets = from_hex(text);
  if (!octets) return false;
  const bool good = octets->size() == size;
  if (good) key.assign(*octets);
  crypto::wipe(*octets);
  return good;
}

std::string word_of(std::string_view text) {
  return text.empty() ? "-" : to_hex(std::as_bytes(std::span(text)));
}

bool read_word(std::string_view word, std::string& text) {
  if (word == "-") return true;
  const auto octets = from_hex(word);
  if (!octets || octets->empty()) return false;
  for (const std::byte octet : *octets) text += static_cast<char>(octet);
  return true;
}

std::int64_t date_of(RawTime established, const Instant& now) {
  const auto at = now.real - (now.raw - established);
  return std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count();
}

RawTime time_of(std::int64_t date, const Instant& now) {
  const auto today = std::chrono::floor<std::chrono::seconds>(now.real.time_since_epoch()).count();
  constexpr std::int64_t kOld = std::chrono::seconds(kKeyLifetime).count();
  const bool is_recent = date >= 0 && date <= today && today - date < kOld;
  return now.raw - std::chrono::seconds(is_recent ? today - date : kOld);
}

std::optional<SavedNts> read_source(std::string_view line, const Instant& now) {
  SavedNts out;
  out.host = take_until(line, ' ');
  std::uint16_t aead = 0;
  std::int64_t date = 0;
  if (!read_number(take_until(line, ' '), out.ke_port)) return std::nullopt;
  const auto resolved = parse_ip(take_until(line, ' '));
  const auto server = parse_endpoint(take_until(line, ' '), 0);
  const bool dated = resolved && server && read_number(take_until(line, ' '), date) &&
                     read_word(take_until(line, ' '), out.roots) &&
                     read_word(take_until(line, ' '), out.mark);
  if (!dated || !read_number(take_until(line, ' '), aead)) return std::nullopt;
  out.resolved = *resolved;
  out.server = *server;
  out.memory.established = time_of(date, now);
  nts::SessionKeys& keys = out.memory.keys;
  keys.aead = static_cast<crypto::AeadId>(aead);
  const std::size_t size = crypto::key_size(keys.aead);
  const bool good = read_key(take_until(line, ' '), size, keys.c2s) &&
                    read_key(take_until(line, ' '), size, keys.s2c);
  if (!good || !line.empty() || out.server.port == 0) return std::nullopt;
  return out;
}

// At least as much as they take.
std::size_t room_for(const std::vector<SavedNts>& all) {
  constexpr std::size_t kOfLine = 256;  // but for what has no limit here
  std::size_t size = 2 * kOfLine;
  for (const SavedNts& one : all) {
    size += kOfLine + one.host.size() + 2 * (one.roots.size() + one.mark.size()) +
            4 * crypto::kMaxAeadKeySize;
    for (const nts::Cookie& cookie : one.memory.cookies) size += kOfLine + 2 * cookie.size();
  }
  return size;
}

}  // namespace

std::string format_nts(const std::vector<SavedNts>& all, const Instant& now) {
  std::string text;
  text.reserve(room_for(all));  // it has keys in it: what it outgrew would stay in memory
  text += kFirstLine;
  for (const SavedNts& one : all) {
    const nts::SessionKeys& keys = one.memory.keys;
    text += fmt::format("{}{} {} {} {} {} {} {} {} ", kSource, one.host, one.ke_port,
                        to_string(one.resolved), to_string(one.server),
                        date_of(one.memory.established, now), word_of(one.roots), word_of(one.mark),
                        static_cast<unsigned>(keys.aead));
    append_hex(text, keys.c2s.view());
    text += ' ';
    append_hex(text, keys.s2c.view());
    text += '\n';
    for (const nts::Cookie& cookie : one.memory.cookies) {
      text += fmt::format("{}{}\n", kCookie, to_hex(cookie));
    }
  }
  text += fmt::format("{}{}\n", kChecksum, crypto::text_checksum(text));
  return text;
}

std::expected<std::vector<SavedNts>, std::string_view> parse_nts(std::string_view text,
                                                                 const Instant& now) {
  if (text.starts_with(kFormat1)) return std::vector<SavedNts>{};
  const auto last = text.rfind(kChecksum);
  if (!text.starts_with(kFirstLine)) return std::unexpected("not a file of cookies");
  if (last == std::string_view::npos) return std::unexpected("torn");
  const std::string_view body = text.substr(0, last);
  if (text.substr(last + kChecksum.size()) != crypto::text_checksum(body) + "\n") {
    return std::unexpected("wrong checksum");
  }
  std::vector<SavedNts> out;
  std::string_view rest = body.substr(kFirstLine.size());
  while (!rest.empty()) {
    std::string_view line = take_until(rest, '\n');
    if (line.starts_with(kSource)) {
      auto source = read_source(line.substr(kSource.size()), now);
      if (!source) return std::unexpected("not as it was written");
      out.push_back(std::move(*source));
      continue;
    }
    auto cookie = line.starts_with(kCookie) ? from_hex(line.substr(kCookie.size())) : std::nullopt;
    const bool good = cookie && !out.empty() && !cookie->empty() &&
                      cookie->size() <= nts::kMaxForeignCookie && cookie->size() % 4 == 0 &&
                      out.back().memory.cookies.size() < nts::kCookiesKept;
    if (!good) return std::unexpected("not as it was written");
    out.back().memory.cookies.push_back(std::move(*cookie));
  }
  // Of an algorithm that this build does not have: of no use, and no fault.
  std::erase_if(out, [](const SavedNts& one) {
    return !one.memory.keys.is_usable() || one.memory.cookies.empty();
  });
  return out;
}

}  // namespace ntp::client

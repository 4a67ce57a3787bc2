#include "nts/request.h"

#include <algorithm>

#include "base/check.h"

namespace ntp::nts {
namespace {

using wire::kHeaderSize;

// Before the authenticator: takes one field in. False where the request is malformed.
bool take_in(const Field& field, NtsRequest& request, std::optional<std::size_t>& placeholder) {
  switch (field.type) {
    case wire::kUniqueIdentifier:
      if (!request.unique_id.empty() || field.body.size() < kMinUniqueId) return false;
      request.unique_id = field.body;
      return true;
    case wire::kNtsCookie:
      if (!request.cookie.empty()) return false;
      request.cookie = field.body;
      return true;
    case wire::kNtsCookiePlaceholder:
      if (placeholder.value_or(field.body.size()) != field.body.size()) return false;
      placeholder = field.body.size();
      ++request.placeholders;
      return true;
    default:
      return true;  // not of NTS: nothing that we understand
  }
}

bool is_well_formed(std::span<const std::byte> fields) noexcept {
  while (!fields.empty()) {
    if (!take_field(fields)) return false;
  }
  return true;
}

// Of the few clients that encrypt anything.
std::expected<void, Refusal> read_encrypted(const NtsRequest& request,
                                            const crypto::Aead& aead) noexcept {
  const Authenticator& authenticator = request.authenticator;
  std::array<std::byte, wire::kMaxPacketSize> room;
  const auto plaintext =
      std::span(room).first(authenticator.ciphertext.size() - crypto::kAeadTagSize);
  if (!aead.open(authenticator.nonce, request.associated, authenticator.ciphertext, plaintext)) {
    return std::unexpected(Refusal::nak);
  }
  const bool well_formed = is_well_formed(plaintext);
  crypto::wipe(plaintext);
  if (!well_formed) return std::unexpected(Refusal::malformed);
  return {};
}

std::size_t fixed_size(const NtsRequest& request) noexcept {
  return kHeaderSize + kFieldHeader + request.unique_id.size();
}

}  // namespace

std::optional<NtsRequest> parse_nts_request(std::span<const std::byte> bytes,
                                            const wire::Packet& packet) noexcept {
  if (packet.header.version != 4 || packet.header.mode != wire::Mode::client) return std::nullopt;
  if (!packet.mac.empty()) return std::nullopt;
  NtsRequest request{.size = bytes.size()};
  std::optional<std::size_t> placeholder;
  auto rest = packet.fields;
  while (!rest.empty()) {
    const std::size_t before = bytes.size() - rest.size();
    const auto field = take_field(rest);
    if (!field) return std::nullopt;
    if (field->type != wire::kNtsAuthenticator) {
      if (!take_in(*field, request, placeholder)) return std::nullopt;
      continue;
    }
    const auto authenticator = parse_authenticator(field->body);
    if (!authenticator || request.unique_id.empty() || request.cookie.empty()) return std::nullopt;
    if (placeholder.value_or(request.cookie.size()) != request.cookie.size()) return std::nullopt;
    request.authenticator = *authenticator;
    request.associated = bytes.first(before);
    return request;
  }
  return std::nullopt;
}

std::expected<CookieKeys::Opened, Refusal> prove(const NtsRequest& request,
                                                 const CookieKeys& keys) noexcept {
  auto opened = keys.open(request.cookie);
  if (!opened) return std::unexpected(Refusal::nak);
  const SessionKeys& session = opened->keys();
  const Authenticator& authenticator = request.authenticator;
  if (!crypto::is_nonce_size(session.aead, authenticator.nonce.size()) ||
      !leaves_room(authenticator, session.aead)) {
    return std::unexpected(Refusal::malformed);
  }
  const auto aead = crypto::Aead::make(session.aead, session.c2s.view());
  NTP_CHECK(aead.has_value());
  if (authenticator.ciphertext.size() > crypto::kAeadTagSize) {
    if (const auto read = read_encrypted(request, *aead); !read) {
      return std::unexpected(read.error());
    }
  } else if (!aead->open(authenticator.nonce, request.associated, authenticator.ciphertext, {})) {
    return std::unexpected(Refusal::nak);
  }
  return *std::move(opened);
}

bool NtsReply::prepare(const NtsRequest& request, const CookieKeys::Opened& opened,
                       const CookieKeys& keys, crypto::RandomStream& random) noexcept {
  const SessionKeys& session = opened.keys();
  const std::size_t most = std::min(request.size, kMaxReply);
  const std::size_t bare = fixed_size(request) + authenticator_size(session.aead, 0, 0);
  const std::size_t one = kFieldHeader + cookie_size(session.aead);
  if (most < bare + one) return false;
  cookies_ = std::min({request.placeholders + 1, kMaxCookies, (most - bare) / one});
  size_ = most / 4 * 4;
  unique_id_ = request.unique_id;
  aead_ = session.aead;
  s2c_ = session.s2c;
  random.fill(std::span(nonce_).first(crypto::nonce_size(session.aead)));
  plaintext_size_ = cookies_ * one;
  const CookieSealer& sealer = opened.sealer(keys);
  std::array<std::byte, kMaxCookieSize> cookie;
  for (std::size_t i = 0; i < cookies_; ++i) {
    const auto made = std::span(cookie).first(cookie_size(session.aead));
    sealer.seal(session, random, made);
    write_field(wire::kNtsCookie, made, std::span(plaintext_).subspan(i * one, one));
  }
  return true;
}

void NtsReply::clear() noexcept {
  size_ = cookies_ = plaintext_size_ = 0;
  unique_id_ = {};
  s2c_.clear();
}

bool NtsReply::prepare_nak(const NtsRequest& request) noexcept {
  clear();
  if (fixed_size(request) > kMaxReply) return false;
  size_ = fixed_size(request);
  unique_id_ = request.unique_id;
  return true;
}

void NtsReply::seal(std::span<std::byte> out) const noexcept {
  NTP_CHECK(out.size() == size_ && size_ <= kMaxReply);
  const std::size_t id_size = kFieldHeader + unique_id_.size();
  write_field(wire::kUniqueIdentifier, unique_id_, out.subspan(kHeaderSize, id_size));
  if (is_nak()) return;
  const std::size_t before = kHeaderSize + id_size;
  const auto aead = crypto::Aead::make(aead_, s2c_.view());
  NTP_CHECK(aead.has_value());
  write_authenticator(*aead, out.first(before), std::span(nonce_).first(crypto::nonce_size(aead_)),
                      std::span(plaintext_).first(plaintext_size_), out.subspan(before));
}

}  // namespace ntp::nts

#include "nts/client_packet.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "nts/authenticator.h"
#include "nts/field.h"
#include "nts/request.h"
#include "wire/packet.h"

namespace ntp::nts {
namespace {

struct Parts {
  std::span<const std::byte> unique_id{};
  std::optional<Authenticator> authenticator{};
  std::span<const std::byte> associated{};
};

// Up to the authenticator; what follows it is not protected and not looked at.
std::optional<Parts> take_apart(std::span<const std::byte> datagram, const wire::Packet& packet) {
  Parts parts;
  auto rest = packet.fields;
  while (!rest.empty()) {
    const std::size_t before = wire::kHeaderSize + packet.fields.size() - rest.size();
    const auto field = take_field(rest);
    if (!field) return std::nullopt;
    if (field->type == wire::kUniqueIdentifier) {
      if (!parts.unique_id.empty()) return std::nullopt;
      parts.unique_id = field->body;
    } else if (field->type == wire::kNtsAuthenticator) {
      parts.authenticator = parse_authenticator(field->body);
      if (!parts.authenticator) return std::nullopt;
      parts.associated = datagram.first(before);
      return parts;
    }
  }
  return parts;
}

std::optional<std::vector<std::vector<std::byte>>> cookies_of(std::span<const std::byte> fields) {
  std::vector<std::vector<std::byte>> cookies;
  while (!fields.empty()) {
    const auto field = take_field(fields);
    if (!field) return std::nullopt;
    if (field->type == wire::kNtsCookie && cookies.size() < kMaxCookies) {
      cookies.emplace_back(field->body.begin(), field->body.end());
    }
  }
  return cookies;
}

}  // namespace

std::size_t question_size(const NtsQuestion& question, crypto::AeadId aead) noexcept {
  return wire::kHeaderSize + kFieldHeader + question.unique_id.size() +
         (1 + question.placeholders) * (kFieldHeader + question.cookie.size()) +
         authenticator_size(aead, 0, 0);
}

std::size_t write_question(const NtsQuestion& question, const SessionKeys& keys,
                           crypto::RandomStream& random, std::span<std::byte> out) noexcept {
  const std::size_t size = question_size(question, keys.aead);
  const auto aead = crypto::Aead::make(keys.aead, keys.c2s.view());
  if (out.size() < size || !aead) return 0;
  out = out.first(size);
  encode_header(question.header, out.first<wire::kHeaderSize>());
  std::size_t at = wire::kHeaderSize;
  const auto next = [&](std::size_t body) {
    const auto place = out.subspan(at, kFieldHeader + body);
    at += place.size();
    return place;
  };
  write_field(wire::kUniqueIdentifier, question.unique_id, next(question.unique_id.size()));
  write_field(wire::kNtsCookie, question.cookie, next(question.cookie.size()));
  for (std::size_t i = 0; i < question.placeholders; ++i) {
    const auto place = next(question.cookie.size());
    std::ranges::fill(place, std::byte{});
    write_field(wire::kNtsCookiePlaceholder, {}, place);
  }
  std::array<std::byte, 16> nonce;
  const auto used = std::span(nonce).first(crypto::nonce_size(keys.aead));
  random.fill(used);
  write_authenticator(*aead, out.first(at), used, {}, out.subspan(at));
  return size;
}

std::expected<NtsAnswer, AnswerReject> open_answer(std::span<const std::byte> datagram,
                                                   std::span<const std::byte> unique_id,
                                                   const SessionKeys& keys) {
  const auto packet = wire::parse_packet(datagram);
  if (!packet || packet->header.version != 4 || packet->header.mode != wire::Mode::server) {
    return std::unexpected(AnswerReject::malformed);
  }
  const auto parts = take_apart(datagram, *packet);
  if (!parts) return std::unexpected(AnswerReject::malformed);
  if (!std::ranges::equal(parts->unique_id, unique_id)) {
    return std::unexpected(AnswerReject::not_ours);
  }
  const wire::Header& header = packet->header;
  if (!parts->authenticator) {
    const bool nak = header.stratum == 0 && header.refid == kKissNtsn;
    return std::unexpected(nak ? AnswerReject::nak : AnswerReject::unauthenticated);
  }
  const auto aead = crypto::Aead::make(keys.aead, keys.s2c.view());
  const auto& sealed = parts->authenticator->ciphertext;
  std::vector<std::byte> plaintext(sealed.size() - crypto::kAeadTagSize);
  if (!aead || !aead->open(parts->authenticator->nonce, parts->associated, sealed, plaintext)) {
    return std::unexpected(AnswerReject::unauthenticated);
  }
  auto cookies = cookies_of(plaintext);
  if (!cookies) return std::unexpected(AnswerReject::malformed);
  return NtsAnswer{.header = header, .cookies = std::move(*cookies)};
}

}  // namespace ntp::nts

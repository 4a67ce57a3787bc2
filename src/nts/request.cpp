#include "nts/request.h"

#include <algorithm>

#include "base/check.h"
#include "base/few.h"

namespace ntp::nts {
namespace {

using wire::kHeaderSize;

constexpr std::size_t kTogether = 8;  // exchanges that are computed side by side

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

// Of the few clients that encrypt anything. Its room is on nobody else's stack.
[[gnu::noinline]] Outcome read_encrypted(const NtsRequest& request,
                                         const crypto::Aead& aead) noexcept {
  const Authenticator& authenticator = request.authenticator;
  std::array<std::byte, wire::kMaxPacketSize> room;
  const auto plaintext =
      std::span(room).first(authenticator.ciphertext.size() - crypto::kAeadTagSize);
  if (!aead.open(authenticator.nonce, request.associated, authenticator.ciphertext, plaintext)) {
    return Outcome::nak;
  }
  const bool well_formed = is_well_formed(plaintext);
  crypto::wipe(plaintext);
  return well_formed ? Outcome::time : Outcome::none;
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

struct NtsReply::Proof {
  Exchange* exchange = nullptr;
  std::optional<CookieKeys::Opened> opened{};  // as long as nothing is wrong

  const NtsRequest& request() const noexcept { return *exchange->request; }
  const SessionKeys& session() const noexcept { return opened->keys(); }
  void refuse(Outcome outcome) noexcept {
    exchange->outcome = outcome;
    opened.reset();
  }
};

void NtsReply::prepare(std::span<Exchange> exchanges, const CookieKeys& keys,
                       crypto::RandomStream& random) noexcept {
  while (!exchanges.empty()) {
    const auto some = exchanges.first(std::min(exchanges.size(), kTogether));
    exchanges = exchanges.subspan(some.size());
    NTP_UNINITIALIZED Few<Proof, kTogether> proofs;
    NTP_UNINITIALIZED Few<CookieKeys::Opening, kTogether> openings;
    for (Exchange& exchange : some) {
      exchange.outcome = Outcome::nak;
      exchange.reply->clear();
      openings.add(exchange.request->cookie, &proofs.add(&exchange).opened);
    }
    keys.open(openings.all());
    prove(proofs.all());
    make_cookies(proofs.all(), keys, random);
    for (Exchange& exchange : some) {
      if (exchange.outcome == Outcome::nak && !exchange.reply->prepare_nak(*exchange.request)) {
        exchange.outcome = Outcome::none;
      }
      if (exchange.outcome == Outcome::none) exchange.reply->clear();
    }
  }
}

// Of those whose cookies were opened. The keys of the replies are expanded with those of the
// requests: what waits for itself in one goes side by side in both.
void NtsReply::prove(std::span<Proof> proofs) noexcept {
  NTP_UNINITIALIZED Few<std::optional<crypto::Aead>, kTogether> c2s;
  NTP_UNINITIALIZED Few<crypto::Aead::Order, 2 * kTogether> orders;
  for (Proof& proof : proofs) {
    if (!proof.opened) continue;
    const SessionKeys& session = proof.session();
    const Authenticator& authenticator = proof.request().authenticator;
    if (!crypto::is_nonce_size(session.aead, authenticator.nonce.size()) ||
        !leaves_room(authenticator, session.aead)) {
      proof.refuse(Outcome::none);
      continue;
    }
    orders.add(session.aead, session.c2s.view(), &c2s.add());
    orders.add(session.aead, session.s2c.view(), &proof.exchange->reply->s2c_);
  }
  crypto::Aead::make(orders.all());
  NTP_UNINITIALIZED Few<crypto::AeadJob, kTogether> jobs;
  NTP_UNINITIALIZED Few<Proof*, kTogether> of;
  std::size_t keys = 0;
  for (Proof& proof : proofs) {
    if (!proof.opened) continue;
    const std::optional<crypto::Aead>& by = c2s[keys++];
    NTP_CHECK(by.has_value() && proof.exchange->reply->has_key());
    const Authenticator& authenticator = proof.request().authenticator;
    if (authenticator.ciphertext.size() > crypto::kAeadTagSize) {
      const auto read = read_encrypted(proof.request(), *by);
      if (read != Outcome::time) proof.refuse(read);
      continue;
    }
    of.add(&proof);
    jobs.add(&*by, authenticator.nonce, proof.request().associated, authenticator.ciphertext);
  }
  crypto::Aead::open(jobs.all());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!jobs[i].good) of[i]->refuse(Outcome::nak);
  }
}

// Of those who are proven.
void NtsReply::make_cookies(std::span<Proof> proofs, const CookieKeys& keys,
                            crypto::RandomStream& random) noexcept {
  NTP_UNINITIALIZED Few<CookieSealer::Order, kTogether> orders;
  const auto finish = [&] {
    CookieSealer::seal(orders.all(), random);
    orders.clear();
  };
  for (Proof& proof : proofs) {
    if (!proof.opened) continue;
    NtsReply& reply = *proof.exchange->reply;
    if (!reply.lay_out(proof.request(), proof.session(), random)) {
      proof.refuse(Outcome::none);
      continue;
    }
    proof.exchange->outcome = Outcome::time;
    NTP_UNINITIALIZED Few<CookieSealer, 1> own;
    if (proof.opened->own_key()) own.add(*proof.opened->own_key());
    const CookieSealer* const by = own.is_full() ? &own[0] : &keys.current();
    const std::size_t one = reply.plaintext_size_ / reply.cookies_;
    for (std::size_t at = 0; at < reply.plaintext_size_; at += one) {
      const auto field = std::span(reply.plaintext_).subspan(at, one);
      write_field(wire::kNtsCookie, {}, field);
      orders.add(by, &proof.session(), field.subspan(kFieldHeader));
      if (orders.is_full()) finish();
    }
    if (own.is_full()) finish();
  }
  finish();
}

// Sizes and the nonce. False where not even one cookie fits.
bool NtsReply::lay_out(const NtsRequest& request, const SessionKeys& session,
                       crypto::RandomStream& random) noexcept {
  const std::size_t most = std::min(request.size, kMaxReply);
  const std::size_t bare = fixed_size(request) + authenticator_size(session.aead, 0, 0);
  const std::size_t one = kFieldHeader + cookie_size(session.aead);
  if (most < bare + one) return false;
  cookies_ = std::min({request.placeholders + 1, kMaxCookies, (most - bare) / one});
  size_ = most / 4 * 4;
  unique_id_ = request.unique_id;
  random.fill(std::span(nonce_).first(crypto::nonce_size(session.aead)));
  plaintext_size_ = cookies_ * one;
  return true;
}

void NtsReply::clear() noexcept {
  size_ = cookies_ = plaintext_size_ = 0;
  unique_id_ = {};
  s2c_.reset();
}

bool NtsReply::prepare_nak(const NtsRequest& request) noexcept {
  clear();
  if (fixed_size(request) > kMaxReply) return false;
  size_ = fixed_size(request);
  unique_id_ = request.unique_id;
  return true;
}

void NtsReply::seal(std::span<const Sealing> replies) noexcept {
  NTP_UNINITIALIZED Few<crypto::AeadJob, kTogether> jobs;
  for (const auto& [reply, out] : replies) {
    NTP_CHECK(out.size() == reply->size_ && out.size() <= kMaxReply);
    const std::size_t id_size = kFieldHeader + reply->unique_id_.size();
    write_field(wire::kUniqueIdentifier, reply->unique_id_, out.subspan(kHeaderSize, id_size));
    if (reply->is_nak()) continue;
    const crypto::Aead& aead = *reply->s2c_;
    const std::size_t before = kHeaderSize + id_size;
    jobs.add(begin_authenticator(
        aead, out.first(before), std::span(reply->nonce_).first(crypto::nonce_size(aead.id())),
        std::span(reply->plaintext_).first(reply->plaintext_size_), out.subspan(before)));
    if (!jobs.is_full()) continue;
    crypto::Aead::seal(jobs.all());
    jobs.clear();
  }
  crypto::Aead::seal(jobs.all());
}

}  // namespace ntp::nts

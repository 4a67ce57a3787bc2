#include "dialogue.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

#include "base/bytes.h"
#include "crypto/random_stream.h"
#include "nts/authenticator.h"
#include "nts/client_packet.h"
#include "nts/field.h"
#include "server/symmetric_keys.h"

namespace ntp::bench {
namespace {

constexpr std::size_t kKeyId = 4;

// The requests of all slots, one behind the other.
class Requests {
 public:
  Requests(std::uint32_t slots, std::size_t size) : size_(size), octets_(slots * size) {}

  std::size_t size() const noexcept { return size_; }
  std::span<std::byte> of(std::uint32_t slot) noexcept {
    return std::span(octets_).subspan(slot * size_, size_);
  }

 private:
  std::size_t size_;
  std::vector<std::byte> octets_;
};

class Plain final : public Dialogue {
 public:
  explicit Plain(const DialogueOptions& options)
      : options_(options), requests_(options.slots, kNtpSize) {}

  std::size_t request_size() const noexcept override { return kNtpSize; }
  std::span<const std::byte> ask(std::uint32_t slot, std::uint64_t nonce) override {
    const auto out = requests_.of(slot);
    write_request(out.first<kNtpSize>(), options_.version, nonce);
    return out;
  }
  Fault judge(std::span<const std::byte> reply, std::uint32_t, std::uint64_t nonce) override {
    return judge_reply(reply, options_.version, nonce, options_.any_leap);
  }

 private:
  DialogueOptions options_;
  Requests requests_;
};

// A MAC behind the header, and one of the same key behind the answer's.
class WithMac final : public Dialogue {
 public:
  WithMac(const DialogueOptions& options, std::uint32_t id, const crypto::MacKey& key)
      : options_(options),
        id_(id),
        key_(key),
        requests_(options.slots, kNtpSize + kKeyId + key.size()) {}

  std::size_t request_size() const noexcept override { return requests_.size(); }
  std::span<const std::byte> ask(std::uint32_t slot, std::uint64_t nonce) override {
    const auto out = requests_.of(slot);
    write_request(out.first<kNtpSize>(), options_.version, nonce);
    ByteWriter(out.subspan(kNtpSize)).write(id_);
    const auto mac = key_.compute(out.first(kNtpSize));
    std::copy_n(mac.begin(), key_.size(), out.subspan(kNtpSize + kKeyId).begin());
    return out;
  }
  Fault judge(std::span<const std::byte> reply, std::uint32_t, std::uint64_t nonce) override {
    if (reply.size() != requests_.size()) return Fault::length;
    const auto mac = reply.subspan(kNtpSize);
    const bool genuine = ByteReader(mac).read<std::uint32_t>() == id_ &&
                         key_.verify(reply.first(kNtpSize), mac.subspan(kKeyId));
    if (!genuine) return Fault::seal;
    return judge_reply(reply.first(kNtpSize), options_.version, nonce, options_.any_leap);
  }

 private:
  DialogueOptions options_;
  std::uint32_t id_;
  crypto::MacKey key_;
  Requests requests_;
};

crypto::RandomStream::Seed random_seed() {
  std::random_device device;
  crypto::RandomStream::Seed seed{};
  for (auto& octet : seed) octet = static_cast<std::byte>(device());
  return seed;
}

// RFC 8915 section 5 by a client that asks without a pause: each request has a unique identifier
// and a nonce of its own and the youngest cookie that is at hand, which is one of an earlier
// answer.
class WithNts final : public Dialogue {
 public:
  WithNts(const DialogueOptions& options, const Session& session)
      : options_(options),
        to_server_(*crypto::Aead::make(session.keys.aead, session.keys.c2s.view())),
        to_client_(*crypto::Aead::make(session.keys.aead, session.keys.s2c.view())),
        cookies_(session.cookies),
        random_(random_seed()),
        requests_(options.slots, size_with(session, options)) {}

  static std::size_t size_with(const Session& session, const DialogueOptions& options) {
    const auto& cookie = session.cookies.front();
    return nts::question_size(
        {.unique_id = nts::UniqueId{}, .cookie = cookie, .placeholders = options.placeholders},
        session.keys.aead);
  }

  std::size_t request_size() const noexcept override { return requests_.size(); }

  std::span<const std::byte> ask(std::uint32_t slot, std::uint64_t nonce) override {
    const auto out = requests_.of(slot);
    write_request(out.first<kNtpSize>(), 4, nonce);
    std::size_t at = kNtpSize;
    const auto next = [&](std::size_t body) {
      const auto place = out.subspan(at, nts::kFieldHeader + body);
      at += place.size();
      return place;
    };
    std::array<std::byte, nts::kUniqueIdSize> id;
    random_.fill(id);
    nts::write_field(wire::kUniqueIdentifier, id, next(id.size()));
    auto& cookie = cookies_[turn_++ % cookies_.size()];
    if (options_.forged) random_.fill(std::span(cookie).subspan(kEpoch));
    nts::write_field(wire::kNtsCookie, cookie, next(cookie.size()));
    for (std::uint32_t i = 0; i < options_.placeholders; ++i) {
      nts::write_field(wire::kNtsCookiePlaceholder, {}, next(cookie.size()));
    }
    std::array<std::byte, kNonceRoom> fresh;
    const auto used = std::span(fresh).first(crypto::nonce_size(to_server_.id()));
    random_.fill(used);
    nts::write_authenticator(to_server_, out.first(at), used, {}, out.subspan(at));
    return out;
  }

  Fault judge(std::span<const std::byte> reply, std::uint32_t slot, std::uint64_t nonce) override {
    // RFC 8915 section 5.7 allows a shorter one; that would be fewer cookies than were asked for.
    if (reply.size() < kNtpSize || reply.size() > requests_.size()) return Fault::length;
    auto rest = reply.subspan(kNtpSize);
    const auto id = nts::take_field(rest);
    const auto asked = requests_.of(slot).subspan(kNtpSize, nts::kFieldHeader + nts::kUniqueIdSize);
    if (!id || !std::ranges::equal(id->whole, asked)) return Fault::unique_id;
    const std::size_t before = reply.size() - rest.size();
    const auto field = nts::take_field(rest);
    if (!field || field->type != wire::kNtsAuthenticator || !rest.empty()) return Fault::seal;
    const auto authenticator = nts::parse_authenticator(field->body);
    if (!authenticator) return Fault::seal;
    const std::size_t size = authenticator->ciphertext.size() - crypto::kAeadTagSize;
    const auto plaintext = std::span(plaintext_).first(size);
    if (!to_client_.open(authenticator->nonce, reply.first(before), authenticator->ciphertext,
                         plaintext)) {
      return Fault::seal;
    }
    if (!take_cookies(plaintext)) return Fault::cookies;
    return judge_reply(reply.first(kNtpSize), 4, nonce, options_.any_leap);
  }

 private:
  static constexpr std::size_t kNonceRoom = 16;
  static constexpr std::size_t kEpoch = 4;  // left as it is: what a forger has seen of others
  static constexpr std::size_t kMaxCookies = 8;

  // As many as were asked for, each as long as those before.
  bool take_cookies(std::span<const std::byte> fields) {
    std::size_t count = 0;
    while (!fields.empty()) {
      const auto field = nts::take_field(fields);
      if (!field || field->type != wire::kNtsCookie) return false;
      auto& kept = cookies_[(turn_ + count++) % cookies_.size()];
      if (field->body.size() != kept.size()) return false;
      std::ranges::copy(field->body, kept.begin());
    }
    return count == std::min<std::size_t>(options_.placeholders + 1, kMaxCookies);
  }

  DialogueOptions options_;
  crypto::Aead to_server_;
  crypto::Aead to_client_;
  std::vector<std::vector<std::byte>> cookies_;
  std::size_t turn_ = 0;
  crypto::RandomStream random_;
  Requests requests_;
  std::array<std::byte, kMaxRequest> plaintext_{};
};

std::string hex(std::span<const std::byte> octets) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte octet : octets) {
    text += kDigits[std::to_integer<unsigned>(octet) >> 4];
    text += kDigits[std::to_integer<unsigned>(octet) & 15];
  }
  return text;
}

std::vector<std::byte> octets_of(const std::string& text) {
  std::vector<std::byte> octets;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    octets.push_back(static_cast<std::byte>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return octets;
}

std::expected<std::unique_ptr<Dialogue>, std::string> make_with_mac(
    const DialogueOptions& options) {
  const auto file = server::parse_key_file(options.key + "\n");
  const auto id = static_cast<std::uint32_t>(std::strtoul(options.key.c_str(), nullptr, 10));
  const auto* key = file.keys.find(id);
  if (key == nullptr) return std::unexpected("no key: '" + options.key + "'");
  return std::make_unique<WithMac>(options, id, *key);
}

std::expected<std::unique_ptr<Dialogue>, std::string> make_with_nts(
    const DialogueOptions& options) {
  std::ifstream file(options.nts);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto session = parse_session(text);
  if (!session) return std::unexpected(options.nts + ": " + session.error());
  if (WithNts::size_with(*session, options) > kMaxRequest) {
    return std::unexpected("too many placeholders");
  }
  return std::make_unique<WithNts>(options, *session);
}

}  // namespace

std::string session_text(const Session& session) {
  std::string text = "aead " + std::to_string(static_cast<unsigned>(session.keys.aead)) + "\nc2s " +
                     hex(session.keys.c2s.view()) + "\ns2c " + hex(session.keys.s2c.view()) + "\n";
  for (const auto& cookie : session.cookies) text += "cookie " + hex(cookie) + "\n";
  return text;
}

std::expected<Session, std::string> parse_session(const std::string& text) {
  Session session;
  std::istringstream in(text);
  std::string word;
  std::string value;
  while (in >> word >> value) {
    if (word == "aead") session.keys.aead = static_cast<crypto::AeadId>(std::stoul(value));
    const auto octets = word == "aead" ? std::vector<std::byte>{} : octets_of(value);
    if (word == "c2s" && octets.size() <= crypto::kMaxAeadKeySize) session.keys.c2s.assign(octets);
    if (word == "s2c" && octets.size() <= crypto::kMaxAeadKeySize) session.keys.s2c.assign(octets);
    if (word == "cookie") session.cookies.push_back(octets);
  }
  if (!session.keys.is_usable()) return std::unexpected("no keys that can be used");
  if (session.cookies.empty()) return std::unexpected("no cookie");
  return session;
}

std::expected<std::unique_ptr<Dialogue>, std::string> make_dialogue(
    const DialogueOptions& options) {
  if (!options.nts.empty()) return make_with_nts(options);
  if (!options.key.empty()) return make_with_mac(options);
  return std::make_unique<Plain>(options);
}

}  // namespace ntp::bench

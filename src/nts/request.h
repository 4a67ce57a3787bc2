// The server's side of an NTS-protected exchange (RFC 8915 section 5): a request is parsed, proven,
// and its reply prepared, all but the header's transmit stamp, which the seal covers.
//
//   parse_nts_request  form; nothing secret, no key            -> malformed: silence
//   NtsReply::prepare  cookie and authenticator are proven      -> nak: an NTSN reply
//                      unique identifier and fresh cookies      -> time
//   NtsReply::seal     when xmt is known
//
// prepare() and seal() take as many as there are: their AES goes side by side (crypto/aead.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "crypto/random_stream.h"
#include "nts/authenticator.h"
#include "nts/cookie.h"
#include "nts/field.h"
#include "wire/packet.h"

namespace ntp::nts {

inline constexpr std::size_t kMinUniqueId = 32;  // section 5.3
inline constexpr std::size_t kMaxCookies = 8;    // section 5.7: what a client keeps
// No reply is longer: what passes every IPv6 path without fragments.
inline constexpr std::size_t kMaxReply = 1232;
inline constexpr std::uint32_t kKissNtsn = wire::refid_of("NTSN");

struct NtsRequest {
  std::span<const std::byte> unique_id{};  // the body of the field
  std::span<const std::byte> cookie{};
  std::size_t placeholders = 0;
  Authenticator authenticator{};
  std::span<const std::byte> associated{};  // what the authenticator covers: all before it
  std::size_t size = 0;                     // of the datagram
};

// `packet` is parse_packet(bytes), with an NTS field in it. Nothing where the request is malformed:
//  - not mode 3 of version 4, or with a MAC;
//  - not exactly one unique identifier of 32 octets or more and exactly one cookie, or not the
//    authenticator behind them; what comes after that is not looked at (section 5.7 would have it
//    treated as unauthenticated);
//  - a placeholder that is not as long as the cookie.
std::optional<NtsRequest> parse_nts_request(std::span<const std::byte> bytes,
                                            const wire::Packet& packet) noexcept;

enum class Outcome : std::uint8_t {
  none,  // silence: malformed, or there is no room for a reply
  nak,   // the cookie is not (any more) ours, or the authenticator does not fit it
  time,  // proven
};

class NtsReply;

// A request and the place of its reply.
struct Exchange {
  const NtsRequest* request = nullptr;
  NtsReply* reply = nullptr;
  Outcome outcome = Outcome::none;
};

// A reply in the making; lives with its slot. Holds keys until cleared or made anew.
class NtsReply {
 public:
  // Opens the cookie of each request and with the C2S key in it the authenticator. Encrypted fields
  // must be well-formed; none of them means anything to us. Then prepares the replies.
  //
  // Time for a proven request: its unique identifier and 1 + placeholders cookies, at most
  // kMaxCookies and as many as fit into the length of the request and kMaxReply; not even one is no
  // reply. As long as the request then, up to kMaxReply (padding makes up the difference). Borrows
  // the request's octets. Else what prepare_nak() makes, or nothing.
  static void prepare(std::span<Exchange> exchanges, const CookieKeys& keys,
                      crypto::RandomStream& random) noexcept;
  // NTSN: the unique identifier and nothing else (section 5.7). False where that does not fit.
  [[nodiscard]] bool prepare_nak(const NtsRequest& request) noexcept;

  bool is_nak() const noexcept { return !has_key(); }
  bool has_key() const noexcept { return s2c_.has_value(); }
  std::size_t size() const noexcept { return size_; }  // of the whole reply
  std::size_t cookies() const noexcept { return cookies_; }

  // `out` has size() octets, of which the first 48 are the encoded header. Writes the others. The
  // request's octets must still be there.
  struct Sealing {
    const NtsReply* reply = nullptr;
    std::span<std::byte> out{};
  };
  static void seal(std::span<const Sealing> replies) noexcept;

  void clear() noexcept;

 private:
  static constexpr std::size_t kMaxPlaintext = kMaxCookies * (kFieldHeader + kMaxCookieSize);
  static constexpr std::size_t kMaxNonce = 16;

  struct Proof;

  static void prove(std::span<Proof> proofs) noexcept;
  static void make_cookies(std::span<Proof> proofs, const CookieKeys& keys,
                           crypto::RandomStream& random) noexcept;
  bool lay_out(const NtsRequest& request, const SessionKeys& session,
               crypto::RandomStream& random) noexcept;

  std::size_t size_ = 0;
  std::size_t cookies_ = 0;
  std::span<const std::byte> unique_id_{};
  std::optional<crypto::Aead> s2c_{};
  std::array<std::byte, kMaxNonce> nonce_{};
  std::array<std::byte, kMaxPlaintext> plaintext_{};  // cookies: nothing that the wire must not see
  std::size_t plaintext_size_ = 0;
};

}  // namespace ntp::nts

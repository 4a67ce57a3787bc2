// The server's side of NTS key establishment (RFC 8915 section 4) behind TLS: octets in, as they
// come, and one message out. Pure; keeps no octet of what it reads, so its size is fixed and small.
//
//   KeServer machine;
//   switch (machine.feed(octets)) {
//     case need_more:  wait; without an end of the message the caller's deadline closes
//     case agreed:     export two keys by machine.agreement(), then write_agreement()
//     case refused:    write_refusal(): an error record, or what there is not in common
//     case closed:     octets after the end of the message: close at once, without an answer
//   }
//
// After agreed or refused the answer is sent, then close_notify.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "crypto/random_stream.h"
#include "nts/cookie.h"
#include "nts/ke_record.h"
#include "nts/session.h"

namespace ntp::nts {

// More than any answer needs: eight cookies, a name of 255 octets, the rest.
inline constexpr std::size_t kMaxKeAnswer = 1536;

// How many cookies an answer has (section 6).
inline constexpr std::size_t kKeCookies = 8;

// Where clients are to ask for time, if not at the address and port 123 of this server.
struct KeElsewhere {
  std::string_view server{};  // borrowed; empty: here
  std::uint16_t port = 123;
};

class KeServer {
 public:
  enum class Step : std::uint8_t { need_more, agreed, refused, closed };
  // Why refused: also a label of the counter.
  enum class Outcome : std::uint8_t {
    none,  // not refused
    unrecognized_critical_record,
    bad_request,
    no_common_protocol,
    no_common_aead,
  };

  // Any number of octets, down to one at a time; the answer is the same. After agreed or refused
  // every further octet gives closed.
  Step feed(std::span<const std::byte> octets) noexcept;

  Step step() const noexcept { return step_; }
  Outcome outcome() const noexcept { return outcome_; }
  // What was agreed on; only where step() is agreed.
  const KeAgreement& agreement() const noexcept { return agreement_; }

  // Writes the answer and returns its size. `keys` are what TLS exported for the agreement.
  std::size_t write_agreement(const SessionKeys& keys, const CookieSealer& sealer,
                              crypto::RandomStream& random, const KeElsewhere& elsewhere,
                              std::span<std::byte, kMaxKeAnswer> out) const noexcept;
  std::size_t write_refusal(std::span<std::byte, kMaxKeAnswer> out) const noexcept;
  // Where keys cannot be exported, or none is there to seal with: error 2.
  static std::size_t write_internal_error(std::span<std::byte, kMaxKeAnswer> out) noexcept;

 private:
  struct Record {
    bool critical = false;
    std::uint16_t type = 0;
    std::uint16_t length = 0;
  };

  void take(std::byte octet) noexcept;
  void begin_record() noexcept;
  void take_number(std::uint16_t number) noexcept;
  void end_record() noexcept;
  void finish() noexcept;
  void fault(Outcome outcome) noexcept;
  void refuse(Outcome outcome) noexcept;

  Step step_ = Step::need_more;
  Outcome outcome_ = Outcome::none;
  Outcome fault_ = Outcome::none;  // the first one; told once the message has ended
  Record record_{};
  std::uint32_t header_ = 0;  // as far as it has come
  std::uint8_t header_octets_ = 0;
  std::uint16_t body_left_ = 0;
  std::uint16_t number_ = 0;  // of a list, as far as it has come
  bool half_number_ = false;
  std::size_t total_ = 0;
  bool has_protocols_ = false;
  bool has_aeads_ = false;
  bool offers_ntpv4_ = false;
  bool compliant_ = false;
  std::optional<crypto::AeadId> chosen_;  // the first of the client's list that we can compute
  KeAgreement agreement_{};
};

}  // namespace ntp::nts

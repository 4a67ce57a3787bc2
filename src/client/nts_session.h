// What a source is proved by with NTS (RFC 8915): keys, the cookies that are left, and when new
// ones are to be established. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "client/reject.h"
#include "nts/client_packet.h"
#include "nts/establishment.h"
#include "wire/header.h"

namespace ntp::client {

// Between the beginnings of two key establishments at least; doubled by each that leads to no
// authenticated answer. The longer limit is for servers that do not want us.
inline constexpr std::chrono::seconds kFirstKePause{16};
inline constexpr std::chrono::seconds kLongestKePauseUnreachable{1024};
inline constexpr std::chrono::seconds kLongestKePause{16384};
// Then it is lost: the process that establishes keys answers long before.
inline constexpr std::chrono::seconds kKeLimit{60};
// Keys do not live for ever, however well they work.
inline constexpr std::chrono::hours kKeyLifetime{24 * 28};

// For people and for the metrics.
struct NtsReport {
  bool has_keys = false;
  std::optional<crypto::AeadId> aead{};
  std::size_t cookies = 0;
  std::optional<RawTime> established{};  // when the keys came, in an earlier run perhaps
  bool recalled = false;                 // they are from an earlier run
  std::uint64_t establishments = 0;      // that were begun
  std::uint64_t naks = 0;
  std::array<std::uint64_t, nts::kKeTroubles> troubles{};
  std::optional<nts::NotEstablished> trouble{};  // of the last one; empty: it went well
  std::optional<RawTime> next_establishment{};
  RealTime valid_until{};  // of the certificate
};

// What is kept over a restart.
struct NtsMemory {
  nts::SessionKeys keys{};
  std::vector<nts::Cookie> cookies{};
  RawTime established{};  // may lie before this boot

  friend bool operator==(const NtsMemory&, const NtsMemory&) = default;
};

class NtsSession {
 public:
  // ---- keys ---------------------------------------------------------------------------------
  // When an establishment is to be begun; empty: none is wanted, or one is on its way.
  std::optional<RawTime> next_establishment() const noexcept;
  // Whether it is to be begun now; then on_established() or on_failed() follows, or time passes.
  bool take_establishment(RawTime now, RandomSource& random);
  void on_established(nts::Established established, RawTime now);
  void on_failed(nts::NotEstablished failure, RawTime now);
  // Keys that are too old, by their own date, are used until there are new ones, which are wanted
  // at once.
  void recall(NtsMemory memory, RawTime now);
  std::optional<NtsMemory> memory() const;  // empty: nothing worth keeping
  std::optional<RawTime> next_deadline() const noexcept;

  bool has_keys() const noexcept { return keys_.has_value(); }
  // Nobody will answer questions for some time.
  bool is_hopeless() const noexcept { return !keys_ && attempts_ > 1 && trouble_.has_value(); }

  // ---- questions ----------------------------------------------------------------------------
  // The whole request, with a cookie that is gone then; empty where there is none left: new keys
  // are then wanted.
  std::vector<std::byte> write_question(const wire::Header& header, RawTime now,
                                        RandomSource& random);
  // An answer to the open question by its origin: whether it is one by its keys.
  std::expected<void, Reject> open(std::span<const std::byte> datagram);

  NtsReport report() const;

 private:
  void want(RawTime now) noexcept { wanted_since_ = wanted_since_.value_or(now); }
  std::chrono::nanoseconds pause() const noexcept;

  std::optional<nts::SessionKeys> keys_{};
  std::vector<nts::Cookie> cookies_{};  // the oldest first
  nts::UniqueId unique_id_{};
  bool answered_ = true;  // the last question
  bool refused_ = false;  // by a NAK, which anybody on the way can send

  std::optional<RawTime> wanted_since_ = RawTime::min();
  std::optional<RawTime> establishing_since_{};
  std::optional<RawTime> begun_{};  // the last one
  int attempts_ = 0;                // since the last authenticated answer
  double jitter_ = 0;
  std::optional<RawTime> established_{};
  bool recalled_ = false;

  std::uint64_t establishments_ = 0;
  std::uint64_t naks_ = 0;
  std::array<std::uint64_t, nts::kKeTroubles> troubles_{};
  std::optional<nts::NotEstablished> trouble_{};
  RealTime valid_until_{};
};

}  // namespace ntp::client

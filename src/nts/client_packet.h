// The client's side of an NTS-protected exchange (RFC 8915 section 5). Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "crypto/random_stream.h"
#include "nts/session.h"
#include "wire/header.h"

namespace ntp::nts {

inline constexpr std::size_t kUniqueIdSize = 32;
using UniqueId = std::array<std::byte, kUniqueIdSize>;

// What one request is made of. All borrowed for the call.
struct NtsQuestion {
  wire::Header header{};
  std::span<const std::byte> unique_id{};  // 32 random octets, new for every request
  std::span<const std::byte> cookie{};     // used once; a multiple of four octets
  std::size_t placeholders = 0;            // how many more cookies are wished for
};

// The size of the request, and the request itself: returns its size, or 0 where `out` is too small.
std::size_t question_size(const NtsQuestion& question, crypto::AeadId aead) noexcept;
std::size_t write_question(const NtsQuestion& question, const SessionKeys& keys,
                           crypto::RandomStream& random, std::span<std::byte> out) noexcept;

enum class AnswerReject : std::uint8_t {
  malformed,
  not_ours,         // another unique identifier, or none
  nak,              // NTSN, which nothing authenticates: worth a new key establishment at leisure
  unauthenticated,  // no authenticator, or a wrong one
};

struct NtsAnswer {
  wire::Header header{};
  std::vector<std::vector<std::byte>> cookies{};  // those that were encrypted
};

// Whether it answers the question in time is for the caller to judge by the header (org).
std::expected<NtsAnswer, AnswerReject> open_answer(std::span<const std::byte> datagram,
                                                   std::span<const std::byte> unique_id,
                                                   const SessionKeys& keys);

}  // namespace ntp::nts

// Why a datagram made no sample. Every enumerator is a counter label and has words for people.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ntp::client {

// In the order of the checks.
enum class Reject : std::uint8_t {
  wrong_address,     // before anything else: who could not even see the question
  malformed,         //
  not_a_reply,       //
  wrong_version,     //
  zero_origin,       // from here on until `crypto_nak`: the origin is not that of the question
  duplicate,         //
  unexpected,        //
  bogus,             //
  crypto_nak,        // these two leave the question open: a true answer may still come
  unasked_mac,       //
  nts_nak,           // so do these three
  unauthenticated,   //
  wrong_key,         //
  kiss_rate,         // from here on the question is answered, and nothing else answers it
  kiss_deny,         //
  kiss_restrict,     //
  kiss_unknown,      //
  stratum_zero,      //
  stratum_high,      //
  unsynchronised,    //
  zero_stamp,        //
  root_distance,     //
  reference_later,   //
  served_backwards,  //
  loop,              //
  negative_delay,    //
  delay_over_limit,  //
};
inline constexpr std::size_t kRejects = static_cast<std::size_t>(Reject::delay_over_limit) + 1;

constexpr std::array<Reject, kRejects> all_rejects() noexcept {
  std::array<Reject, kRejects> all{};
  for (std::size_t i = 0; i < kRejects; ++i) all[i] = static_cast<Reject>(i);
  return all;
}

// True of what no other answer to the question can follow.
constexpr bool answers(Reject reject) noexcept { return reject >= Reject::kiss_rate; }
// True of answers by which a server says that it does not know the time. So do unknown kiss codes:
// ntpd answers with INIT after its start and with STEP after it was set.
constexpr bool says_no_time(Reject reject) noexcept {
  return reject >= Reject::kiss_unknown && reject <= Reject::unsynchronised;
}

std::string_view name(Reject reject) noexcept;      // "root_distance"
std::string_view describe(Reject reject) noexcept;  // "its root distance is 16 s or more"

// The number of the packet test that it fails (RFC 5905; ntpq's flash codes TEST1 … TEST12); 0 for
// those that the RFC does not count.
int packet_test(Reject reject) noexcept;

class RejectCounts {
 public:
  void add(Reject reject) noexcept { ++counts_[static_cast<std::size_t>(reject)]; }
  std::uint64_t of(Reject reject) const noexcept {
    return counts_[static_cast<std::size_t>(reject)];
  }
  std::uint64_t total() const noexcept;

 private:
  std::array<std::uint64_t, kRejects> counts_{};
};

}  // namespace ntp::client

#include "client/reject.h"

#include <numeric>

namespace ntp::client {
namespace {

struct Row {
  Reject reject;
  int packet_test;
  std::string_view name;
  std::string_view words;
};

constexpr std::array<Row, kRejects> kRows{{
    {Reject::wrong_address, 0, "wrong_address", "it is not from the address that was asked"},
    {Reject::malformed, 0, "malformed", "it is not an NTP packet"},
    {Reject::not_a_reply, 0, "not_a_reply", "it is not a server's answer"},
    {Reject::wrong_version, 0, "wrong_version", "it is of a version that was not asked for"},
    {Reject::zero_origin, 3, "zero_origin", "its origin is zero"},
    {Reject::duplicate, 1, "duplicate", "it repeats an answer"},
    {Reject::unexpected, 1, "unexpected", "no question is open: it is late or was never asked for"},
    {Reject::bogus, 2, "bogus", "it answers another question"},
    {Reject::crypto_nak, 5, "crypto_nak", "it refuses an authentication that was not tried"},
    {Reject::unasked_mac, 5, "unasked_mac", "it is signed, which was not asked for"},
    {Reject::nts_nak, 5, "nts_nak", "the server cannot open the cookie (NTS NAK)"},
    {Reject::unauthenticated, 5, "unauthenticated", "it is not proved by the keys of the source"},
    {Reject::wrong_key, 5, "wrong_key", "it is signed with another key than that of the source"},
    {Reject::kiss_rate, 4, "kiss_rate", "the server asks for fewer questions (RATE)"},
    {Reject::kiss_deny, 4, "kiss_deny", "the server denies access (DENY)"},
    {Reject::kiss_restrict, 4, "kiss_restrict", "the server restricts access (RSTR)"},
    {Reject::kiss_unknown, 4, "kiss_unknown", "the server sent a kiss code that asks for nothing"},
    {Reject::stratum_zero, 6, "stratum_zero", "its stratum is 0: the server has no time"},
    {Reject::stratum_high, 6, "stratum_high", "its stratum is 16 or above"},
    {Reject::unsynchronised, 6, "unsynchronised", "the server's clock is not synchronised"},
    {Reject::zero_stamp, 3, "zero_stamp", "its time of receipt or of sending is zero"},
    {Reject::root_distance, 7, "root_distance", "its root distance is 16 s or more"},
    {Reject::reference_later, 7, "reference_later", "its clock was set after it was sent"},
    {Reject::served_backwards, 7, "served_backwards", "it was sent before its question came"},
    {Reject::loop, 12, "loop", "the server is synchronised to us"},
    {Reject::negative_delay, 0, "negative_delay", "it took less time than the server held it"},
    {Reject::delay_over_limit, 0, "delay_over_limit", "it took longer than max_delay"},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].reject) != i) return false;
  }
  return true;
}
static_assert(in_order());

const Row& row_of(Reject reject) noexcept { return kRows[static_cast<std::size_t>(reject)]; }

}  // namespace

std::string_view name(Reject reject) noexcept { return row_of(reject).name; }
std::string_view describe(Reject reject) noexcept { return row_of(reject).words; }
int packet_test(Reject reject) noexcept { return row_of(reject).packet_test; }

std::uint64_t RejectCounts::total() const noexcept {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

}  // namespace ntp::client

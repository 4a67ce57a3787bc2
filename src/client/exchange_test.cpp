#include "client/exchange.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace ntp::client {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

constexpr std::uint64_t kNonce = 0x1122334455667788;
const RealTime kSent{seconds(1'790'000'000)};

std::array<std::byte, 48> reply_of(wire::Header header) {
  std::array<std::byte, 48> bytes;
  encode_header(header, bytes);
  return bytes;
}

wire::Header good_reply() {
  wire::Header reply;
  reply.mode = wire::Mode::server;
  reply.stratum = 2;
  reply.org = {kNonce};
  reply.rec = NtpTimestamp::from(kSent + microseconds(500'100));  // 0.5 s ahead, 100 us there
  reply.xmt = NtpTimestamp::from(kSent + microseconds(500'150));
  reply.root_delay = NtpShort::rounded_up(0.5);
  reply.root_dispersion = NtpShort::rounded_up(0.25);
  return reply;
}

TEST(Measure, OffsetAndDelayFollowRfc5905Figure15) {
  const auto m = measure(reply_of(good_reply()), kNonce, kSent, kSent + microseconds(450));
  ASSERT_TRUE(m);
  EXPECT_NEAR(m->offset_s, 0.4999, 1e-9);
  EXPECT_NEAR(m->delay_s, 0.0004, 1e-9);
  EXPECT_NEAR(m->root_distance_s, 0.25 + 0.25 + 0.0002, 1e-9);
}

TEST(Measure, RefusesWhatIsNotTheAnswer) {
  const auto refused = [](wire::Header reply) {
    return measure(reply_of(reply), kNonce, kSent, kSent + seconds(1)).error();
  };
  auto reply = good_reply();
  reply.mode = wire::Mode::client;
  EXPECT_EQ(refused(reply), Mismatch::not_a_reply);
  reply = good_reply();
  reply.org.bits ^= 1;
  EXPECT_EQ(refused(reply), Mismatch::not_ours);
  reply = good_reply();
  reply.stratum = 0;
  reply.refid = wire::refid_of("RATE");
  reply.rec = {};
  EXPECT_EQ(refused(reply), Mismatch::kiss);
  const std::array<std::byte, 47> cut{};
  EXPECT_EQ(measure(cut, kNonce, kSent, kSent).error(), Mismatch::malformed);
}

TEST(MakeRequest, TellsNothingButTheNonce) {  // RELIABILITY A35: forty octets of zeros
  const auto bytes = reply_of(make_request(kNonce));
  EXPECT_EQ(bytes[0], std::byte{0x23});
  for (std::size_t i = 1; i < 40; ++i) EXPECT_EQ(bytes[i], std::byte{0}) << i;
}

TEST(Describe, SaysOfEveryMismatchSomethingElse) {
  std::set<std::string_view> all;
  for (const auto mismatch :
       {Mismatch::malformed, Mismatch::not_a_reply, Mismatch::not_ours, Mismatch::kiss}) {
    EXPECT_FALSE(describe(mismatch).empty());
    all.insert(describe(mismatch));
  }
  EXPECT_EQ(all.size(), 4u);
}

}  // namespace
}  // namespace ntp::client

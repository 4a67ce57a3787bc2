#include "server/responder.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <vector>

#include "wire/packet.h"

namespace ntp::server {
namespace {

using wire::Leap;
using wire::Mode;

const RawTime kNow{std::chrono::seconds(1000)};
const NtpTimestamp kRec = NtpTimestamp::from(RealTime(std::chrono::seconds(1'790'000'000)));

ServerState synchronised() {
  return {.leap = Leap::none,
          .synchronised = true,
          .stratum = 3,
          .precision = -24,
          .refid = kRefidHost,
          .reftime = {kRec.bits - (5ull << 32)},
          .root_delay_s = 0.001,
          .root_dispersion_s = 0.01,
          .dispersion_rate = 500e-6,
          .at = kNow};
}

std::array<std::byte, 48> encoded(const wire::Header& header) {
  std::array<std::byte, 48> bytes;
  encode_header(header, bytes);
  return bytes;
}

Arrival from_client(std::span<const std::byte> payload) {
  return {.payload = payload,
          .source = {.address = IpAddress::v4(192, 0, 2, 7), .port = 40000},
          .local = {.address = IpAddress::v4(192, 0, 2, 1), .port = 123},
          .through_loopback = false};
}

std::expected<wire::Header, Drop> answer(const wire::Header& request) {
  const auto bytes = encoded(request);
  return respond(from_client(bytes), describe_clock(synchronised(), kNow), {}, kRec);
}

TEST(Respond, NeverAnswersAnAnswer) {  // two servers must not ping-pong (CVE-2024-2169)
  for (int version = 0; version < 8; ++version) {
    for (int mode = 0; mode < 8; ++mode) {
      wire::Header request;
      request.version = static_cast<std::uint8_t>(version);
      request.mode = static_cast<Mode>(mode);
      const auto reply = answer(request);
      if (!reply) continue;
      EXPECT_FALSE(answer(*reply).has_value()) << version << ' ' << mode;
    }
  }
}

TEST(Respond, EchoesOriginVersionAndAnswersSymmetricActiveAsPassive) {
  for (std::uint8_t version = 1; version <= 4; ++version) {
    for (const std::uint64_t xmt : {0ull, ~0ull, 0x0123456789abcdefull}) {
      wire::Header request;
      request.version = version;
      request.xmt = {xmt};
      const auto reply = answer(request);
      ASSERT_TRUE(reply);
      EXPECT_EQ(reply->version, version);
      EXPECT_EQ(reply->mode, Mode::server);
      EXPECT_EQ(reply->org.bits, xmt);
      EXPECT_EQ(reply->rec, kRec);
      request.mode = Mode::symmetric_active;
      EXPECT_EQ(answer(request)->mode, Mode::symmetric_passive);
    }
  }
}

TEST(Respond, PollIsTheLargerOfBothAndClamped) {
  for (int poll = -128; poll < 128; ++poll) {
    wire::Header request;
    request.poll = static_cast<std::int8_t>(poll);
    const auto bytes = encoded(request);
    for (const int minimum : {-6, 0, 6}) {
      const auto reply = respond(from_client(bytes), describe_clock(synchronised(), kNow),
                                 {.poll_minimum = static_cast<std::int8_t>(minimum)}, kRec);
      EXPECT_EQ(reply->poll, std::clamp(std::max(poll, minimum), -6, 17));
    }
  }
}

TEST(DescribeClock, DispersionGrowsWithAgeAndNeverFalls) {
  std::uint32_t last = 0;
  for (int ms = 0; ms < 10'000; ms += 7) {
    const auto clock = describe_clock(synchronised(), kNow + std::chrono::milliseconds(ms));
    EXPECT_GE(clock.root_dispersion.bits, last);
    EXPECT_GE(clock.root_dispersion.seconds(), 0.01 + ms * 500e-9 - 1e-12);
    last = clock.root_dispersion.bits;
  }
}

TEST(DescribeClock, AClockThatNobodyKeepsAnyMoreSaysLeap3) {
  const auto fresh = describe_clock(synchronised(), kNow + kStateLifetime);
  EXPECT_EQ(fresh.leap, Leap::none);
  const auto stale =
      describe_clock(synchronised(), kNow + kStateLifetime + std::chrono::nanoseconds(1));
  EXPECT_EQ(stale.leap, Leap::unknown);
  EXPECT_EQ(stale.stratum, 0);
  const auto never = describe_clock(ServerState{}, kNow);
  EXPECT_EQ(never.leap, Leap::unknown);
  EXPECT_EQ(never.refid, 0u);
  EXPECT_EQ(never.reftime.bits, 0u);
}

TEST(Seal, StampsKeepTheirOrderWhenTheHostStepsBackInBetween) {  // G10
  wire::Header request;
  const auto bytes = encoded(request);
  auto reply = respond(from_client(bytes), describe_clock(synchronised(), kNow), {}, kRec);
  std::array<std::byte, 48> out;
  NoiseSource noise(1);
  const NtpTimestamp after_the_step{kRec.bits - (1ull << 32)};
  seal(*reply, from_client(bytes), after_the_step, noise, out);
  const auto sent = wire::parse_header(out);
  EXPECT_LT(std::abs(difference_s(sent.xmt, after_the_step)), 0x1p-24) << "the stepped clock wins";
  EXPECT_GE(difference(sent.xmt, sent.rec), 0);
  EXPECT_GE(difference(sent.rec, sent.reftime), 0);
}

TEST(Seal, AClockThatWasNeverSetKeepsAReftimeOfZero) {  // RFC 5905 section 7.3
  const auto bytes = encoded(wire::Header{});
  auto reply = respond(from_client(bytes), describe_clock(ServerState{}, kNow), {}, kRec);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->reftime.bits, 0u);
  std::array<std::byte, 48> out;
  NoiseSource noise(1);
  seal(*reply, from_client(bytes), kRec, noise, out);
  EXPECT_EQ(wire::parse_header(out).reftime.bits, 0u);
}

TEST(Seal, NoiseStaysBelowThePrecisionAndFollowsTheSeed) {  // G10, G14
  wire::Header request;
  const auto bytes = encoded(request);
  const auto clock = describe_clock(synchronised(), kNow);
  const NtpTimestamp xmt{kRec.bits + 123456};
  NoiseSource noise(42);
  NoiseSource same(42);
  for (int i = 0; i < 1000; ++i) {
    auto first = respond(from_client(bytes), clock, {}, kRec);
    auto second = first;
    std::array<std::byte, 48> a;
    std::array<std::byte, 48> b;
    seal(*first, from_client(bytes), xmt, noise, a);
    seal(*second, from_client(bytes), xmt, same, b);
    EXPECT_EQ(a, b);
    EXPECT_LT(std::abs(difference_s(first->xmt, xmt)), 0x1p-24);
  }
}

TEST(Respond, AQuestionToEverybodyIsForNobodyToAnswer) {
  const auto bytes = encoded(wire::Header{});
  Arrival arrival = from_client(bytes);
  arrival.to_many = true;
  const auto reply = respond(arrival, describe_clock(synchronised(), kNow), {}, kRec);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error(), Drop::to_many);
}

TEST(Respond, SourcesThatNoClientHasGetSilence) {
  const auto bytes = encoded(wire::Header{});
  const auto clock = describe_clock(synchronised(), kNow);
  const auto dropped = [&](const char* address, std::uint16_t port, bool loopback) {
    Arrival arrival = from_client(bytes);
    arrival.source = {.address = *parse_ip(address), .port = port};
    arrival.through_loopback = loopback;
    const auto reply = respond(arrival, clock, {}, kRec);
    return !reply && reply.error() == Drop::bad_source;
  };
  EXPECT_TRUE(dropped("192.0.2.7", 0, false));
  EXPECT_TRUE(dropped("0.0.0.0", 40000, false));
  EXPECT_TRUE(dropped("224.0.1.1", 40000, false));
  EXPECT_TRUE(dropped("255.255.255.255", 40000, false));
  EXPECT_TRUE(dropped("127.0.0.1", 40000, false));
  EXPECT_TRUE(dropped("::1", 40000, false));
  EXPECT_TRUE(dropped("192.0.2.1", 123, false)) << "our own endpoint";
  EXPECT_FALSE(dropped("127.0.0.1", 40000, true));
  EXPECT_FALSE(dropped("192.0.2.1", 124, false));
  EXPECT_FALSE(dropped("192.0.2.7", 123, false)) << "old clients ask from port 123";
}

TEST(Respond, DeniedClientsGetSilenceButNotTheServersOwnQuestion) {
  const auto bytes = encoded(wire::Header{.xmt = {0x0123456789abcdef}});
  const auto clock = describe_clock(synchronised(), kNow);
  const AccessTable nobody({}, false);
  const auto dropped = [&](const Policy& policy, bool loopback) {
    Arrival arrival = from_client(bytes);
    arrival.through_loopback = loopback;
    const auto reply = respond(arrival, clock, policy, kRec);
    return !reply && reply.error() == Drop::denied;
  };
  EXPECT_FALSE(dropped({}, false));
  EXPECT_TRUE(dropped({.access = &nobody}, false));
  EXPECT_TRUE(dropped({.access = &nobody}, true));
  EXPECT_TRUE(dropped({.probe_xmt = 0x0123456789abcdee, .access = &nobody}, true));
  EXPECT_TRUE(dropped({.probe_xmt = 0x0123456789abcdef, .access = &nobody}, false));
  EXPECT_FALSE(dropped({.probe_xmt = 0x0123456789abcdef, .access = &nobody}, true));
}

// Whoever is over a limit of one request a second, with no chance to be answered all the same.
class OverTheLimit : public testing::Test {
 protected:
  std::expected<wire::Header, Drop> ask(std::span<const std::byte> bytes, bool loopback = false,
                                        std::uint64_t probe_xmt = 0) {
    const Policy policy{.probe_xmt = probe_xmt};
    Arrival arrival = from_client(bytes);
    arrival.through_loopback = loopback;
    limiter_.begin(rules_, kNow, false);
    return respond(arrival, describe_clock(synchronised(), kNow), policy, kRec, &limiter_);
  }

  RateRules rules_{.limit = 1, .burst = 0, .leak = 1'000'000};
  KissGate gate_;
  RateLimiter limiter_{{1, 2}, 3, gate_};
};

TEST_F(OverTheLimit, RequestsGetSilenceWithTheReason) {
  const auto bytes = encoded(wire::Header{});
  EXPECT_TRUE(ask(bytes));
  const auto reply = ask(bytes);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error(), Drop::over_limit);
}

TEST_F(OverTheLimit, WhatNobodyAnswersIsChargedToNobody) {  // G4: the gate comes first
  const auto answer = encoded(wire::Header{.mode = Mode::server});
  std::vector<std::byte> torn(52);  // half a field behind the header
  torn[0] = std::byte{0x23};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(ask(answer).error(), Drop::bad_mode);
    EXPECT_EQ(ask(torn).error(), Drop::malformed_mac);
  }
  EXPECT_TRUE(ask(encoded(wire::Header{})));
}

TEST_F(OverTheLimit, TheServersOwnQuestionIsAnswered) {
  const auto bytes = encoded(wire::Header{.xmt = {0x0123456789abcdef}});
  EXPECT_TRUE(ask(bytes));
  EXPECT_FALSE(ask(bytes, true));
  EXPECT_TRUE(ask(bytes, true, 0x0123456789abcdef));
  EXPECT_FALSE(ask(bytes, false, 0x0123456789abcdef));
}

TEST_F(OverTheLimit, AKissOfDeathCarriesAWordAndNoTime) {  // G9
  rules_.kiss = true;
  const auto bytes = encoded(wire::Header{.poll = 6, .xmt = {0x0123456789abcdef}});
  EXPECT_FALSE(is_kiss(*ask(bytes)));
  auto kiss = ask(bytes);
  ASSERT_TRUE(kiss);
  EXPECT_TRUE(is_kiss(*kiss));
  NoiseSource noise(1);
  std::array<std::byte, 48> out;
  seal(*kiss, from_client(bytes), {kRec.bits + 1000}, noise, out);
  const auto parsed = wire::parse_packet(out);
  ASSERT_TRUE(parsed);
  const wire::Header& header = parsed->header;
  EXPECT_EQ(header.leap, Leap::unknown);
  EXPECT_EQ(header.mode, Mode::server);
  EXPECT_EQ(header.stratum, 0);
  EXPECT_EQ(header.refid, wire::refid_of("RATE"));
  EXPECT_EQ(header.org.bits, 0x0123456789abcdefu);
  EXPECT_EQ(header.rec.bits, 0u);
  EXPECT_EQ(header.xmt.bits, 0u);
  EXPECT_EQ(header.reftime.bits, 0u);
  EXPECT_EQ(header.root_delay.bits, 0u);
  EXPECT_EQ(header.root_dispersion.bits, 0u);
  EXPECT_FALSE(ask(bytes)) << "one a second";
}

}  // namespace
}  // namespace ntp::server

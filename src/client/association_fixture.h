// What the tests of associations share: an address, a clock, and a server that answers well.
#pragma once

#include <gtest/gtest.h>

#include <span>
#include <vector>

#include "client/association.h"

namespace ntp::client::testing {

inline const Endpoint kServer{.address = IpAddress::v4(192, 0, 2, 7), .port = 123};
inline const RawTime kStart{std::chrono::seconds(1000)};
inline const clock::ClockMap kBase{.at = kStart,
                                   .real = RealTime(std::chrono::seconds(1'790'000'000))};

inline wire::Header header_of(const Transmit& transmit) {
  return wire::parse_header(std::span(transmit.bytes).first<wire::kHeaderSize>());
}

// A server half a second ahead: 100 us to it, 50 us in it, 300 us back.
inline wire::Header good_reply(std::uint64_t nonce, RawTime sent) {
  using std::chrono::microseconds;
  wire::Header reply;
  reply.mode = wire::Mode::server;
  reply.stratum = 2;
  reply.poll = 6;
  reply.precision = -24;
  reply.refid = 0xcb007109;
  reply.root_delay = NtpShort::rounded_up(0.5);
  reply.root_dispersion = NtpShort::rounded_up(0.25);
  reply.org = {nonce};
  reply.rec = NtpTimestamp::from(kBase(sent) + microseconds(500'100));
  reply.xmt = NtpTimestamp::from(kBase(sent) + microseconds(500'150));
  reply.reftime = NtpTimestamp::from(kBase(sent) - std::chrono::seconds(10));
  return reply;
}
inline constexpr std::chrono::microseconds kRoundTrip{450};

inline std::vector<std::byte> octets_of(const wire::Header& header) {
  std::vector<std::byte> bytes(wire::kHeaderSize);
  encode_header(header, std::span<std::byte, wire::kHeaderSize>(bytes));
  return bytes;
}

// Asks at the next deadline, and says so.
inline Transmit ask(Association& association, RandomSource& random) {
  while (true) {
    const RawTime now = association.next_deadline().value();
    const auto transmit = association.on_timer(now, random);
    if (!transmit) continue;
    association.on_sent(now);
    return *transmit;
  }
}

inline std::expected<clock::Sample, Reject> answer(Association& association,
                                                   const wire::Header& reply, RawTime at) {
  const auto bytes = octets_of(reply);
  return association.on_datagram({.datagram = bytes, .from = kServer, .at = at, .base = kBase});
}

inline std::expected<clock::Sample, Reject> answer_well(Association& association,
                                                        const Transmit& transmit) {
  const RawTime sent = association.state().anchor;
  return answer(association, good_reply(header_of(transmit).xmt.bits, sent), sent + kRoundTrip);
}

class AssociationTest : public ::testing::Test {
 protected:
  Association make(AssociationOptions options = {}) {
    return Association(kServer, options, kStart, random_);
  }
  // Past the burst, reachable.
  Association steady(AssociationOptions options = {}) {
    auto association = make(options);
    for (int i = 0; i < 2 * kBurst; ++i) {
      EXPECT_TRUE(answer_well(association, ask(association, random_)));
    }
    EXPECT_EQ(association.state().reach, 0xff);
    return association;
  }
  // From one question to the next.
  double interval_s(Association& association, bool answered = true) {
    const auto first = ask(association, random_);
    const RawTime sent = association.state().anchor;
    if (answered) {
      EXPECT_TRUE(answer_well(association, first));
    }
    ask(association, random_);
    return seconds(association.state().anchor - sent);
  }

  SeededRandom random_{7};
};

}  // namespace ntp::client::testing

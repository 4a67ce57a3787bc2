#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <set>
#include <vector>

#include "exchange.h"
#include "frame.h"
#include "histogram.h"
#include "load.h"

namespace ntp::bench {
namespace {

using Packet = std::array<std::byte, kNtpSize>;

constexpr std::uint64_t kNonce = 0x1122334455667788;

Packet right_reply(unsigned version, std::uint64_t nonce) {
  Packet packet{};
  packet[0] = static_cast<std::byte>(version << 3 | 4);
  packet[1] = std::byte{10};
  store_u64(&packet[24], nonce);
  store_u64(&packet[32], 1000);
  store_u64(&packet[40], 1001);
  return packet;
}

TEST(JudgeReply, AcceptsARightReplyOfEveryVersion) {
  for (unsigned version = 1; version <= 4; ++version) {
    EXPECT_EQ(judge_reply(right_reply(version, kNonce), version, kNonce), Fault::none);
  }
}

TEST(JudgeReply, SeesEveryKindOfWrongReply) {
  const auto judged = [](const std::function<void(Packet&)>& spoil) {
    Packet packet = right_reply(4, kNonce);
    spoil(packet);
    return judge_reply(packet, 4, kNonce);
  };
  EXPECT_EQ(judged([](Packet& p) { p[0] = std::byte{4 << 3 | 5}; }), Fault::mode);
  EXPECT_EQ(judged([](Packet& p) { p[0] = std::byte{3 << 3 | 4}; }), Fault::version);
  EXPECT_EQ(judged([](Packet& p) { p[0] |= std::byte{0xc0}; }), Fault::leap);
  EXPECT_EQ(judged([](Packet& p) { p[1] = std::byte{0}; }), Fault::stratum);
  EXPECT_EQ(judged([](Packet& p) { p[1] = std::byte{16}; }), Fault::stratum);
  EXPECT_EQ(judged([](Packet& p) { p[31] ^= std::byte{1}; }), Fault::origin);
  EXPECT_EQ(judged([](Packet& p) { store_u64(&p[32], 0); }), Fault::stamps);
  EXPECT_EQ(judged([](Packet& p) { store_u64(&p[40], 0); }), Fault::stamps);
  EXPECT_EQ(judged([](Packet& p) { store_u64(&p[40], 999); }), Fault::stamps);
  const Packet packet = right_reply(4, kNonce);
  EXPECT_EQ(judge_reply(std::span(packet).first(47), 4, kNonce), Fault::length);
}

TEST(Histogram, QuantilesAreWithinTwoPercent) {
  Histogram histogram;
  for (int i = 1; i <= 100'000; ++i) histogram.add(i * 10);
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double exact = share * 1'000'000;
    EXPECT_NEAR(static_cast<double>(histogram.quantile(share)), exact, exact * 0.02) << share;
  }
  EXPECT_EQ(histogram.largest(), 1'000'000u);
}

TEST(Histogram, ForgetsNoValueHoweverLarge) {
  Histogram histogram;
  histogram.add(-5);
  histogram.add(0);
  histogram.add(std::int64_t{1} << 50);
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_EQ(histogram.quantile(0.5), 0u);
}

// Turns a request's frame into what the server's kernel would send back.
std::vector<std::byte> answer_frame(const FramePlan& plan, std::uint32_t client,
                                    std::span<const std::byte> payload) {
  FramePlan back = plan;
  std::array<std::byte, kMaxFrameSize> frame{};
  write_frame(plan, client, Packet{}, frame);
  std::vector<std::byte> bytes(frame.begin(), frame.begin() + static_cast<long>(back.frame_size()));
  const std::size_t size = plan.server.size;
  const std::size_t source = kEthernetSize + (plan.server.is_v4() ? 12 : 8);
  std::swap_ranges(bytes.begin() + static_cast<long>(source),
                   bytes.begin() + static_cast<long>(source + size),
                   bytes.begin() + static_cast<long>(source + size));
  std::swap_ranges(bytes.begin() + static_cast<long>(plan.udp_at()),
                   bytes.begin() + static_cast<long>(plan.udp_at() + 2),
                   bytes.begin() + static_cast<long>(plan.udp_at() + 2));
  std::ranges::copy(payload, bytes.begin() + static_cast<long>(plan.udp_at() + kUdpSize));
  return bytes;
}

FramePlan plan_for(const std::string& server, const std::string& first) {
  return {.server = parse_host(server).value(), .first_client = parse_host(first).value()};
}

TEST(Frame, ReadsBackTheClientOfAReplyInBothFamilies) {
  for (const FramePlan& plan :
       {plan_for("10.99.0.2", "10.1.0.0"), plan_for("fd99::2", "fd10::1:0")}) {
    for (const std::uint32_t client : {0u, 1u, 255u, 256u, 9'999'999u}) {
      const auto bytes = answer_frame(plan, client, right_reply(4, kNonce));
      const auto reply = read_frame(plan.server.is_v4(), bytes);
      ASSERT_TRUE(reply.has_value());
      EXPECT_EQ(reply->payload.size(), kNtpSize);
      EXPECT_EQ(echoed_nonce(reply->payload), kNonce);
      EXPECT_EQ(reply->from_port, 123);
      EXPECT_EQ(client_of(plan, 10'000'000, *reply), client);
      EXPECT_FALSE(client_of(plan, client, *reply).has_value());
    }
  }
}

TEST(Frame, TheHeaderChecksumOfIpv4IsRight) {
  const FramePlan plan = plan_for("10.99.0.2", "10.1.0.0");
  for (const std::uint32_t client : {0u, 77u, 65'535u, 9'999'999u}) {
    std::array<std::byte, kMaxFrameSize> frame{};
    write_frame(plan, client, Packet{}, frame);
    std::uint32_t sum = 0;
    for (std::size_t i = kEthernetSize; i < kEthernetSize + 20; i += 2) {
      sum += std::to_integer<std::uint32_t>(frame[i]) << 8 |
             std::to_integer<std::uint32_t>(frame[i + 1]);
    }
    EXPECT_EQ((sum & 0xffff) + (sum >> 16), 0xffffu) << client;
  }
}

TEST(Frame, AShortOrForeignFrameIsNoReply) {
  const FramePlan plan = plan_for("10.99.0.2", "10.1.0.0");
  const auto bytes = answer_frame(plan, 3, right_reply(4, kNonce));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(read_frame(true, std::span(bytes).first(size)).has_value()) << size;
  }
  auto arp = bytes;
  arp[13] = std::byte{6};
  EXPECT_FALSE(read_frame(true, arp).has_value());
}

// A server in memory: answers at once, unless `answer` says that it does not.
class FakePort final : public Port {
 public:
  std::function<bool(std::uint64_t number, Packet&)> answer = [](auto, Packet&) { return true; };
  std::set<std::uint32_t> clients{};
  std::uint64_t requests = 0;
  bool answers_another_client = false;

  std::size_t send(std::span<const Request> batch) override {
    for (const Request& request : batch) {
      clients.insert(request.client);
      Packet packet = right_reply(4, load_u64(&request.payload[40]));
      if (answer(++requests, packet)) waiting_.push_back({packet, request.client});
    }
    return batch.size();
  }
  std::span<const Reply> receive() override {
    replies_.clear();
    lent_.clear();
    while (!waiting_.empty() && lent_.size() < kMaxBatch) {
      lent_.push_back(waiting_.front());
      waiting_.pop_front();
    }
    for (const auto& [packet, client] : lent_) {
      replies_.push_back({packet, client + (answers_another_client ? 1 : 0), true});
    }
    return replies_;
  }

 private:
  std::deque<std::pair<Packet, std::uint32_t>> waiting_{};
  std::deque<std::pair<Packet, std::uint32_t>> lent_{};
  std::vector<Reply> replies_{};
};

LoadResult load(Port& port, const LoadOptions& options) {
  const auto dialogue = make_dialogue({.slots = slots_of(options)});
  return run_load(port, **dialogue, options);
}

// Nothing is lost by a pause of the machine that runs the test.
constexpr LoadOptions kShort{
    .clients = 100, .warm_up_s = 0.005, .duration_s = 0.05, .lost_after_s = 5};

TEST(Load, AClosedLoopCountsEveryAnswerAndAsksAsEveryClient) {
  FakePort port;
  const LoadResult result = load(port, kShort);
  EXPECT_GT(result.replies, 0u);
  EXPECT_EQ(result.lost, 0u);
  EXPECT_EQ(result.faults(), 0u);
  EXPECT_EQ(result.latency.count(), result.replies);
  EXPECT_EQ(result.all_replies, port.requests);
  EXPECT_EQ(port.clients.size(), 100u);
}

TEST(Load, EveryClientAsksOnceBeforeAnyAsksTwice) {
  FakePort port;
  LoadOptions options = kShort;
  options.clients = 1000;
  bool repeated_early = false;
  port.answer = [&](std::uint64_t number, Packet&) {
    repeated_early |= number <= 1000 && port.clients.size() != number;
    return true;
  };
  load(port, options);
  EXPECT_GE(port.requests, 1000u);
  EXPECT_FALSE(repeated_early);
}

TEST(Load, AnOpenLoopKeepsItsRate) {
  FakePort port;
  LoadOptions options = kShort;
  options.rate = 20'000;
  options.duration_s = 0.2;
  const LoadResult result = load(port, options);
  EXPECT_NEAR(static_cast<double>(result.sent), 4000, 1000);
}

TEST(Load, SilenceIsLossAndNotAReply) {
  FakePort port;
  port.answer = [](std::uint64_t number, Packet&) { return number % 10 != 0; };
  LoadOptions options = kShort;
  options.rate = 50'000;
  options.lost_after_s = 0.3;
  const LoadResult result = load(port, options);
  EXPECT_NEAR(result.loss(), 0.1, 0.02);
}

TEST(Load, WrongAnswersAreNotReplies) {
  FakePort port;
  port.answer = [](std::uint64_t, Packet& packet) {
    packet[1] = std::byte{0};
    return true;
  };
  const LoadResult result = load(port, kShort);
  EXPECT_EQ(result.all_replies, 0u);
  EXPECT_GT(result.all_faults[static_cast<std::size_t>(Fault::stratum)], 0u);
}

TEST(Load, AReplyToAnotherClientIsAStray) {
  FakePort port;
  port.answers_another_client = true;
  const LoadResult result = load(port, kShort);
  EXPECT_EQ(result.all_replies, 0u);
  EXPECT_GT(result.all_faults[static_cast<std::size_t>(Fault::stray)], 0u);
}

}  // namespace
}  // namespace ntp::bench

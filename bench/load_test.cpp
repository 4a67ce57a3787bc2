#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <fstream>
#include <functional>
#include <set>
#include <vector>

#include "exchange.h"
#include "frame.h"
#include "histogram.h"
#include "load.h"
#include "nts/authenticator.h"
#include "nts/client_packet.h"
#include "nts/cookie.h"
#include "nts/field.h"
#include "server/responder.h"

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
  // At most, of the answers that could be received before more was asked.
  std::size_t left_behind = 0;

  std::size_t send(std::span<const Request> batch) override {
    if (was_received_) left_behind = std::max(left_behind, waiting_.size());
    was_received_ = false;
    for (const Request& request : batch) {
      clients.insert(request.client);
      Packet packet = right_reply(4, load_u64(&request.payload[40]));
      if (answer(++requests, packet)) waiting_.push_back({packet, request.client});
    }
    return batch.size();
  }
  std::span<const Reply> receive() override {
    was_received_ = true;
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
  bool was_received_ = false;
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

// Else a rate at which more than one batch is due at a time fills the socket, and counts as loss.
TEST(Load, AnOpenLoopReceivesAllThatHasComeBeforeItAsksMore) {
  FakePort port;
  LoadOptions options = kShort;
  options.rate = 1e9;
  EXPECT_GT(load(port, options).replies, 10 * kMaxBatch);
  EXPECT_EQ(port.left_behind, 0u);
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

// ---- Dialogues: every kind of wrong answer is seen ---------------------------------------------

// Answers as the server does, in memory.
class Answerer {
 public:
  Answerer() {
    session.keys.c2s.assign(std::vector<std::byte>(32, std::byte{1}));
    session.keys.s2c.assign(std::vector<std::byte>(32, std::byte{2}));
    session.cookies.assign(3, std::vector<std::byte>(nts::cookie_size(session.keys.aead)));
    for (auto& cookie : session.cookies) cookies_.current().seal(session.keys, random_, cookie);
  }
  std::vector<std::byte> answer(std::span<const std::byte> request) {
    server::Seal seal;
    server::Authentication by{
        .secrets = {.symmetric = &keys_, .cookies = &cookies_}, .random = random_, .seal = seal};
    const server::Arrival arrival{.payload = request,
                                  .source = {.address = IpAddress::v4(192, 0, 2, 7), .port = 999},
                                  .local = {.address = IpAddress::v4(192, 0, 2, 1), .port = 123}};
    const wire::Header clock{.mode = wire::Mode::server, .stratum = 2, .refid = 1};
    auto reply = respond(arrival, clock, {}, {5000}, nullptr, &by);
    std::vector<std::byte> bytes(seal.size());
    NoiseSource noise(1);
    if (reply) server::seal(*reply, arrival, {6000}, noise, seal, bytes);
    return bytes;
  }

  Session session;

 private:
  crypto::RandomStream random_{{}};
  nts::CookieKeys cookies_{{.secret = std::vector<std::byte>(32, std::byte{3}), .epoch = 7}};
  server::SymmetricKeys keys_ = server::parse_key_file(kKeyLine).keys;

 public:
  static constexpr const char* kKeyLine = "5 AES128 HEX:00112233445566778899aabbccddeeff\n";
};

class DialogueTest : public testing::Test {
 protected:
  std::unique_ptr<Dialogue> with_nts(std::uint32_t placeholders = 0, bool forged = false) {
    std::ofstream(path_) << session_text(server_.session);
    return std::move(
        *make_dialogue({.slots = 4, .nts = path_, .placeholders = placeholders, .forged = forged}));
  }
  ~DialogueTest() override { std::remove(path_.c_str()); }

  std::string path_ = testing::TempDir() + "session." + std::to_string(::getpid());
  Answerer server_;
};

TEST_F(DialogueTest, WithNtsAsksAnewEachTimeAndTakesTheCookiesOfTheAnswers) {
  std::set<std::vector<std::byte>> seen;
  for (const std::uint32_t placeholders : {0u, 3u, 7u}) {
    const auto dialogue = with_nts(placeholders);
    for (std::uint64_t i = 0; i < 40; ++i) {
      const auto slot = static_cast<std::uint32_t>(i % 4);
      const auto request = dialogue->ask(slot, kNonce + i);
      ASSERT_EQ(request.size(), dialogue->request_size());
      EXPECT_TRUE(seen.emplace(request.begin() + 48, request.end()).second);
      EXPECT_EQ(dialogue->judge(server_.answer(request), slot, kNonce + i), Fault::none);
    }
  }
}

TEST_F(DialogueTest, WithNtsSeesEveryChangedOctetOfAnAnswer) {
  const auto dialogue = with_nts();
  const auto good = server_.answer(dialogue->ask(1, kNonce));
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= std::byte{1};
    EXPECT_NE(dialogue->judge(bad, 1, kNonce), Fault::none) << i;
    EXPECT_NE(dialogue->judge(std::span(good).first(i), 1, kNonce), Fault::none) << i;
  }
  EXPECT_EQ(dialogue->judge(good, 2, kNonce), Fault::unique_id);
  EXPECT_EQ(dialogue->judge(good, 1, kNonce + 1), Fault::origin);
  EXPECT_EQ(dialogue->judge(good, 1, kNonce), Fault::none);
}

TEST_F(DialogueTest, ForgedCookiesAndAnswersWithoutAProofAreFaults) {
  const auto dialogue = with_nts(0, true);
  const auto answer = server_.answer(dialogue->ask(0, kNonce));
  EXPECT_EQ(answer.size(), 84u);  // NTSN
  EXPECT_EQ(dialogue->judge(answer, 0, kNonce), Fault::seal);
}

// A server that gives one cookie, whatever is asked: the request with placeholders is answered as
// if it were one without.
TEST_F(DialogueTest, WithNtsMissesCookiesThatWereAskedFor) {
  const auto dialogue = with_nts(2);
  const auto request = dialogue->ask(0, kNonce);
  const std::size_t before = wire::kHeaderSize + nts::kFieldHeader + nts::kUniqueIdSize;
  const auto seal = crypto::Aead::make(server_.session.keys.aead, server_.session.keys.s2c.view());
  std::vector<std::byte> cookie(nts::kFieldHeader + server_.session.cookies[0].size());
  nts::write_field(wire::kNtsCookie, server_.session.cookies[0], cookie);
  auto answer = server_.answer(request);
  answer.resize(before + nts::authenticator_size(seal->id(), cookie.size(), 0));
  nts::write_authenticator(*seal, std::span(answer).first(before), std::vector<std::byte>(16),
                           cookie, std::span(answer).subspan(before));
  EXPECT_EQ(dialogue->judge(answer, 0, kNonce), Fault::cookies);
}

TEST_F(DialogueTest, WithAMacSeesEveryChangedOctetOfAnAnswer) {
  const auto dialogue = std::move(
      *make_dialogue({.slots = 1, .key = "5 AES128 HEX:00112233445566778899aabbccddeeff"}));
  const auto good = server_.answer(dialogue->ask(0, kNonce));
  ASSERT_EQ(good.size(), 68u);
  EXPECT_EQ(dialogue->judge(good, 0, kNonce), Fault::none);
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= std::byte{1};
    EXPECT_EQ(dialogue->judge(bad, 0, kNonce), Fault::seal) << i;
  }
  EXPECT_EQ(dialogue->judge(std::span(good).first(48), 0, kNonce), Fault::length);
}

TEST(Session, IsReadBackAndRefusedWhereItLacksAnything) {
  const Answerer server;
  const auto again = parse_session(session_text(server.session));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->keys, server.session.keys);
  EXPECT_EQ(again->cookies, server.session.cookies);
  EXPECT_FALSE(parse_session(""));
  EXPECT_FALSE(parse_session("aead 15\nc2s 00\ns2c 00\ncookie 00\n"));
}

}  // namespace
}  // namespace ntp::bench

#include "nts/request.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <set>

#include "nts/client_packet.h"
#include "nts/fixture_test.h"

namespace ntp::nts {
namespace {

using crypto::AeadId;

enum class Reaction { silence, nak, time };

struct Reply {
  Reaction reaction = Reaction::silence;
  Bytes bytes{};
  std::size_t cookies = 0;
};

// What the server's packet path does, without a clock.
Reply react(const Bytes& request, const CookieKeys& keys = cookie_keys(), unsigned seed = 8) {
  const auto packet = wire::parse_packet(request);
  if (!packet) return {};
  const auto parsed = parse_nts_request(request, *packet);
  if (!parsed) return {};
  crypto::RandomStream random({static_cast<std::byte>(seed)});
  NtsReply reply;
  std::array exchange{Exchange{.request = &*parsed, .reply = &reply}};
  NtsReply::prepare(exchange, keys, random);
  const Outcome outcome = exchange[0].outcome;
  if (outcome == Outcome::none) return {};
  wire::Header header{.mode = wire::Mode::server, .org = packet->header.xmt};
  if (outcome == Outcome::nak) {
    header.leap = wire::Leap::unknown;
    header.refid = kKissNtsn;
  } else {
    header.stratum = 1;
  }
  Reply made{.reaction = outcome == Outcome::time ? Reaction::time : Reaction::nak,
             .bytes = Bytes(reply.size()),
             .cookies = reply.cookies()};
  encode_header(header, std::span(made.bytes).first<wire::kHeaderSize>());
  NtsReply::seal(std::array{NtsReply::Sealing{.reply = &reply, .out = made.bytes}});
  EXPECT_LE(made.bytes.size(), request.size());  // G1
  return made;
}

Reaction reaction_to(const RequestParts& parts) { return react(parts.bytes()).reaction; }

// Those that nettle has.
std::vector<AeadId> all_aeads() {
  std::vector<AeadId> all{AeadId::aes_siv_cmac_256, AeadId::aes_128_gcm_siv};
  std::erase_if(all, [](AeadId id) { return !crypto::is_supported(id); });
  return all;
}

class EachAead : public testing::TestWithParam<AeadId> {};
INSTANTIATE_TEST_SUITE_P(, EachAead, testing::ValuesIn(all_aeads()));

TEST_P(EachAead, ACookieForEachPlaceholderInAReplyOfTheSameLength) {
  const SessionKeys keys = session_keys(GetParam());
  for (std::size_t n = 0; n <= 9; ++n) {
    const Bytes request = good_parts(n, keys).bytes();
    const Reply reply = react(request);
    ASSERT_EQ(reply.reaction, Reaction::time) << n;
    EXPECT_EQ(reply.bytes.size(), std::min(request.size(), kMaxReply)) << n;
    const auto answer = open_answer(reply.bytes, kUniqueId, keys);
    ASSERT_TRUE(answer) << n;
    ASSERT_EQ(answer->cookies.size(), std::min<std::size_t>(n + 1, 8)) << n;
    for (const Bytes& cookie : answer->cookies) {
      EXPECT_EQ(cookie.size(), cookie_size(GetParam()));
      const auto opened = cookie_keys().open(cookie);
      ASSERT_TRUE(opened);
      EXPECT_EQ(opened->keys(), keys);
    }
  }
}

TEST_P(EachAead, TheClientsOwnWriterMakesRequestsThatAreAnswered) {
  const SessionKeys keys = session_keys(GetParam());
  const Bytes cookie = sealed_cookie(keys);
  crypto::RandomStream random({std::byte{1}});
  for (std::size_t n = 0; n <= 7; ++n) {
    const NtsQuestion question{.unique_id = kUniqueId, .cookie = cookie, .placeholders = n};
    Bytes request(1500);
    request.resize(write_question(question, keys, random, request));
    ASSERT_EQ(request.size(), question_size(question, GetParam()));
    const Reply reply = react(request);
    EXPECT_EQ(reply.bytes.size(), request.size());
    EXPECT_EQ(open_answer(reply.bytes, kUniqueId, keys)->cookies.size(), n + 1);
    EXPECT_EQ(write_question(question, keys, random, std::span(request).first(100)), 0u);
  }
}

// A19: the work that a request can ask for is bounded: with any number of placeholders it is a few
// times that of one without. The least of many tries, each with the others in turn: what else the
// machine does only adds.
TEST(NtsRequest, PlaceholdersCostNoMoreThanTheCookiesThatTheyGet) {
  const auto keys = cookie_keys();
  std::array<Bytes, 13> requests;
  for (std::size_t n = 0; n < requests.size(); ++n) requests[n] = good_parts(n).bytes();
  std::array<double, 13> least;
  least.fill(1e9);
  for (int round = 0; round < 300; ++round) {
    for (std::size_t n = 0; n < requests.size(); ++n) {
      const auto begun = std::chrono::steady_clock::now();
      const Reply reply = react(requests[n], keys);
      const std::chrono::duration<double, std::micro> took =
          std::chrono::steady_clock::now() - begun;
      EXPECT_LE(reply.cookies, kMaxCookies);
      least[n] = std::min(least[n], took.count());
    }
  }
  for (const double us : least) EXPECT_LE(us, 3 * least[0]);
}

// The server keeps no list of what it has seen: a replay is answered, with cookies that have
// nothing in common with those of the first answer, and none of them in clear.
TEST(NtsRequest, AReplayIsAnsweredWithOtherCookiesAndNoneInClear) {
  const Bytes request = good_parts(3).bytes();
  const Bytes cookie = sealed_cookie(session_keys());
  std::set<Bytes> seen;
  for (unsigned seed = 100; seed < 200; ++seed) {
    const Reply reply = react(request, cookie_keys(), seed);
    ASSERT_EQ(reply.reaction, Reaction::time);
    const auto at = wire::kHeaderSize + kFieldHeader + kUniqueId.size();
    for (std::size_t i = at + 8; i + 16 <= reply.bytes.size(); i += 4) {
      const Bytes piece(reply.bytes.begin() + static_cast<int>(i),
                        reply.bytes.begin() + static_cast<int>(i) + 16);
      if (piece == Bytes(16)) continue;  // padding
      EXPECT_TRUE(seen.insert(piece).second) << seed << " at " << i;
      EXPECT_TRUE(std::ranges::search(cookie, piece).empty());
    }
    // The epoch that every cookie begins with would be seen.
    const auto epoch = std::span(cookie).first(4);
    EXPECT_TRUE(std::ranges::search(std::span(reply.bytes).subspan(at), epoch).empty());
  }
}

TEST(NtsReply, NeverExceedsWhatEveryPathCarries) {  // CORRECTIONS: 1,232 octets
  auto parts = good_parts(7);
  parts.fields.push_back(field(0x4204, Bytes(300)));
  const Reply reply = react(parts.bytes());
  EXPECT_EQ(reply.reaction, Reaction::time);
  EXPECT_EQ(reply.bytes.size(), 1232u);
  EXPECT_EQ(reply.cookies, 8u);
  auto long_id = good_parts(3);
  long_id.fields[0] = field(wire::kUniqueIdentifier, octets(900, 1));
  EXPECT_EQ(react(long_id.bytes()).cookies, 2u) << "as many as fit";
  auto longer_id = good_parts(0);
  longer_id.fields[0] = field(wire::kUniqueIdentifier, octets(1060, 1));
  EXPECT_LT(longer_id.bytes().size(), 1300u);
  EXPECT_EQ(react(longer_id.bytes()).reaction, Reaction::silence) << "not one fits";
}

// CONFORMANCE, "NTS packets", row by row: what a request may not lack, have twice or have wrong.
TEST(NtsRequest, MalformedOnesGetSilence) {
  const auto silent = [](const std::function<void(RequestParts&)>& change) {
    auto parts = good_parts(1);
    change(parts);
    return reaction_to(parts) == Reaction::silence;
  };
  const Bytes id = field(wire::kUniqueIdentifier, kUniqueId);
  const Bytes cookie = field(wire::kNtsCookie, sealed_cookie(session_keys()));
  EXPECT_TRUE(silent([](auto& p) { p.fields.erase(p.fields.begin()); })) << "no unique id";
  EXPECT_TRUE(silent([](auto& p) { p.fields[0] = field(wire::kUniqueIdentifier, Bytes(28)); }));
  EXPECT_TRUE(silent([&](auto& p) { p.fields.push_back(id); })) << "two unique ids";
  EXPECT_TRUE(silent([&](auto& p) { p.fields.push_back(cookie); })) << "two cookies";
  EXPECT_TRUE(silent([](auto& p) { p.fields.erase(p.fields.begin() + 1); })) << "no cookie";
  EXPECT_TRUE(
      silent([](auto& p) { p.fields[2] = field(wire::kNtsCookiePlaceholder, Bytes(100)); }));
  EXPECT_TRUE(
      silent([](auto& p) { p.fields[2] = field(wire::kNtsCookiePlaceholder, Bytes(108)); }));
  EXPECT_TRUE(silent([](auto& p) {
    p.fields.push_back(field(wire::kNtsCookiePlaceholder, Bytes(100)));
  })) << "placeholders of two lengths";
  EXPECT_TRUE(silent([](auto& p) { p.header.mode = wire::Mode::symmetric_active; }));
  EXPECT_TRUE(silent([](auto& p) { p.header.version = 3; }));
  EXPECT_TRUE(silent([](auto& p) { p.behind = Bytes(20); })) << "a MAC";
  EXPECT_TRUE(silent([](auto& p) { p.behind = Bytes(24); })) << "a MAC";
  EXPECT_TRUE(silent([](auto& p) { p.plaintext = octets(20, 1); })) << "no fields inside";
  EXPECT_TRUE(silent([](auto& p) { p.plaintext = Bytes(8); })) << "no fields inside";
  EXPECT_FALSE(silent([](auto&) {}));
}

TEST(NtsRequest, AnUnprovenOneGetsNtsnWithItsUniqueIdAndNothingElse) {
  const auto nak = [](const std::function<void(RequestParts&)>& change) {
    auto parts = good_parts(1);
    change(parts);
    const Reply reply = react(parts.bytes());
    const auto answer = open_answer(reply.bytes, kUniqueId, session_keys());
    return reply.reaction == Reaction::nak && reply.bytes.size() == 48 + 36 && !answer &&
           answer.error() == AnswerReject::nak;
  };
  const auto with_cookie = [](const Bytes& cookie) {
    return [cookie](RequestParts& p) { p.fields[1] = field(wire::kNtsCookie, cookie); };
  };
  const SessionKeys keys = session_keys();
  EXPECT_TRUE(nak(with_cookie(octets(104, 99)))) << "random";
  EXPECT_TRUE(nak(with_cookie(sealed_cookie(keys, kEpoch, kOtherSecret)))) << "another's";
  EXPECT_TRUE(nak(with_cookie(sealed_cookie(keys, kEpoch - 8)))) << "N-8";
  EXPECT_FALSE(nak(with_cookie(sealed_cookie(keys, kEpoch - 7))));
  EXPECT_FALSE(nak(with_cookie(sealed_cookie(keys, kEpoch + 1))));
  EXPECT_TRUE(nak([](auto& p) { p.keys.c2s.assign(Bytes(32)); })) << "the wrong C2S key";
}

TEST(NtsRequest, NoBitThatTheAuthenticatorCoversMayChange) {
  const Bytes good = good_parts(1).bytes();
  ASSERT_EQ(react(good).reaction, Reaction::time);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_NE(react(bad).reaction, Reaction::time) << "octet " << bit / 8;
  }
}

TEST(NtsRequest, NoPrefixOfOneIsAnswered) {
  const Bytes good = good_parts(2).bytes();
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(react(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))).reaction,
              Reaction::silence)
        << size;
  }
}

TEST(NtsRequest, WhatMeansNothingToUsIsNoReasonToRefuse) {
  const auto served = [](const std::function<void(RequestParts&)>& change) {
    auto parts = good_parts(1);
    change(parts);
    return reaction_to(parts) == Reaction::time;
  };
  EXPECT_TRUE(served([](auto& p) { p.fields.insert(p.fields.begin(), field(0x4204, Bytes(28))); }));
  EXPECT_TRUE(served([](auto& p) { p.behind = field(0x4204, Bytes(28)); })) << "behind";
  EXPECT_TRUE(served([](auto& p) { p.behind = field(wire::kNtsCookie, Bytes(104)); })) << "behind";
  EXPECT_TRUE(served([](auto& p) { p.plaintext = field(0x4204, Bytes(24)); })) << "encrypted";
  EXPECT_TRUE(served([](auto& p) {
    p.fields[2] = field(wire::kNtsCookiePlaceholder, octets(104, 5));
  })) << "a placeholder's body";
  EXPECT_TRUE(served([](auto& p) { p.padding = 16; }));
  EXPECT_TRUE(served([](auto& p) { p.fields[0] = field(wire::kUniqueIdentifier, Bytes(64)); }));
}

TEST(OpenAnswer, NoBitOfAReplyMayChangeUpToTheEndOfItsSeal) {
  const Bytes good = react(good_parts(1).bytes()).bytes;
  ASSERT_TRUE(open_answer(good, kUniqueId, session_keys()));
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    EXPECT_FALSE(open_answer(bad, kUniqueId, session_keys())) << "octet " << bit / 8;
  }
  EXPECT_EQ(open_answer(good, octets(32, 0), session_keys()).error(), AnswerReject::not_ours);
}

TEST(OpenAnswer, TimeWithoutASealIsNoTime) {
  Bytes plain(wire::kHeaderSize);
  wire::encode_header(wire::Header{.mode = wire::Mode::server, .stratum = 1},
                      std::span(plain).first<wire::kHeaderSize>());
  EXPECT_EQ(open_answer(plain, kUniqueId, session_keys()).error(), AnswerReject::not_ours);
  const Bytes id = field(wire::kUniqueIdentifier, kUniqueId);
  plain.insert(plain.end(), id.begin(), id.end());
  EXPECT_EQ(open_answer(plain, kUniqueId, session_keys()).error(), AnswerReject::unauthenticated);
}

}  // namespace
}  // namespace ntp::nts

#include "server/authentication.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "nts/client_packet.h"
#include "nts/fixture_test.h"
#include "server/responder.h"

namespace ntp::server {
namespace {

using Bytes = std::vector<std::byte>;

constexpr RawTime kNow{std::chrono::seconds(1000)};
const NtpTimestamp kRec{0xee7ac40100000000};

const SymmetricKeys& keys() {
  static const auto file = parse_key_file(
      "1 MD5 aaaaaaaaaaaaaaaa\n2 SHA1 bbbbbbbbbbbbbbbb\n3 SHA256 cccccccccccccccc\n"
      "4 SHA384 dddddddddddddddd\n5 SHA512 eeeeeeeeeeeeeeee\n"
      "6 AES128 HEX:00112233445566778899aabbccddeeff\n"
      "7 AES256 HEX:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n");
  return file.keys;
}

const nts::CookieKeys& cookies() {
  static const nts::CookieKeys made = nts::cookie_keys();
  return made;
}

struct Outcome {
  std::expected<wire::Header, Drop> header{};
  Bytes bytes{};
};

Arrival arrival_of(const Bytes& request) {
  return {.payload = request,
          .source = {.address = IpAddress::v4(192, 0, 2, 7), .port = 40'000},
          .local = {.address = IpAddress::v4(192, 0, 2, 1), .port = 123}};
}

Outcome react(const Bytes& request, const Secrets& secrets = {&keys(), &cookies()},
              RateLimiter* rate = nullptr) {
  crypto::RandomStream random({});
  Seal seal;
  Authentication by{.secrets = secrets, .random = random, .seal = seal};
  const Arrival arrival = arrival_of(request);
  const ServerState state{.leap = wire::Leap::none,
                          .synchronised = true,
                          .stratum = 2,
                          .refid = kRefidHost,
                          .root_dispersion_s = 0.01,
                          .at = kNow};
  Outcome outcome{.header = respond(arrival, describe_clock(state, kNow), {}, kRec, rate, &by)};
  if (!outcome.header) return outcome;
  NoiseSource noise(1);
  outcome.bytes.resize(seal.size());
  server::seal(*outcome.header, arrival, {kRec.bits + 1000}, noise, seal, outcome.bytes);
  return outcome;
}

Bytes request_with_mac(std::uint32_t id, const crypto::MacKey& key, const Bytes& fields = {},
                       std::uint8_t version = 4) {
  Bytes out(wire::kHeaderSize);
  encode_header(wire::Header{.version = version, .xmt = {42}},
                std::span(out).first<wire::kHeaderSize>());
  out.insert(out.end(), fields.begin(), fields.end());
  const auto mac = key.compute(out);
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::byte>(id >> shift));
  out.insert(out.end(), mac.begin(), mac.begin() + static_cast<std::ptrdiff_t>(key.size()));
  return out;
}

TEST(Authenticate, AGoodMacIsAnsweredWithOneOfTheSameKey) {  // G7
  const Bytes field = nts::field(0x4204, Bytes(28));
  for (std::uint32_t id = 1; id <= 7; ++id) {
    const crypto::MacKey& key = *keys().find(id);
    for (const Bytes& fields : {Bytes{}, field}) {
      const auto outcome = react(request_with_mac(id, key, fields));
      ASSERT_TRUE(outcome.header) << id;
      ASSERT_EQ(outcome.bytes.size(), 48 + 4 + key.size());
      const std::span<const std::byte> reply(outcome.bytes);
      EXPECT_EQ(ByteReader(reply.subspan(48)).read<std::uint32_t>(), id);
      EXPECT_TRUE(key.verify(reply.first(48), reply.subspan(52))) << id;
    }
    for (const auto version : {std::uint8_t{2}, std::uint8_t{3}}) {
      EXPECT_TRUE(react(request_with_mac(id, key, {}, version)).header) << id;
    }
  }
}

// A13: who holds the key of one subnet cannot ask from another one.
TEST(Authenticate, AKeyForOthersAloneIsUnknownWhereItIsNotTheirs) {
  const auto theirs = parse_key_file("1 SHA1 aaaaaaaaaaaaaaaa 198.51.100.0/24,2001:db8::/32\n");
  const auto ours = parse_key_file("1 SHA1 aaaaaaaaaaaaaaaa 198.51.100.0/24,192.0.2.7\n");
  const Bytes request = request_with_mac(1, *ours.keys.find(1));  // from 192.0.2.7
  EXPECT_TRUE(react(request, {&ours.keys}).header);
  EXPECT_EQ(react(request, {&theirs.keys}).header.error(), Drop::unknown_key);
}

// RFC 5905 knows no such MAC; chrony's clients send it with keys of SHA-2.
TEST(Authenticate, AnUncutDigestIsTakenInVersion3AndAnsweredLikewise) {
  for (std::uint32_t id = 3; id <= 5; ++id) {
    const crypto::MacKey& key = *keys().find(id);
    const auto uncut = [&](std::uint8_t version) {
      Bytes out = request_with_mac(id, key, {}, version);
      const auto mac = key.compute(std::span(out).first(48));
      out.resize(52);
      out.insert(out.end(), mac.begin(),
                 mac.begin() + static_cast<std::ptrdiff_t>(key.full_size()));
      return out;
    };
    const auto outcome = react(uncut(3));
    ASSERT_TRUE(outcome.header) << id;
    ASSERT_EQ(outcome.bytes.size(), uncut(3).size());
    const std::span<const std::byte> reply(outcome.bytes);
    EXPECT_TRUE(key.verify(reply.first(48), reply.subspan(52)));
    EXPECT_FALSE(react(uncut(2)).header);
    EXPECT_FALSE(react(uncut(4)).header);
    Bytes bad = uncut(3);
    bad.back() ^= std::byte{1};
    EXPECT_EQ(react(bad).header.error(), Drop::bad_mac);
    EXPECT_EQ(react(uncut(3), {}).header.error(), Drop::malformed_extension) << "without keys";
  }
}

TEST(Authenticate, NoBitOfARequestWithAMacMayChange) {
  for (const std::uint32_t id : {1u, 2u, 5u, 6u}) {
    const Bytes good = request_with_mac(id, *keys().find(id), nts::field(0x4204, Bytes(28)));
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      Bytes bad = good;
      bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      EXPECT_FALSE(react(bad).header) << id << ": " << bit / 8;
    }
  }
}

TEST(Authenticate, AMacOfAnotherKeyOrLengthIsRefused) {
  const auto reason = [](const Bytes& request) { return react(request).header.error(); };
  EXPECT_EQ(reason(request_with_mac(2, *keys().find(3))), Drop::bad_mac);
  EXPECT_EQ(reason(request_with_mac(6, *keys().find(2))), Drop::bad_mac) << "20 octets for CMAC";
  EXPECT_EQ(reason(request_with_mac(2, *keys().find(6))), Drop::bad_mac) << "16 octets for SHA1";
  EXPECT_EQ(reason(request_with_mac(8, *keys().find(2))), Drop::unknown_key);
  EXPECT_EQ(reason(request_with_mac(0, *keys().find(2))), Drop::unknown_key);
  Bytes nak = request_with_mac(2, *keys().find(2));
  nak.resize(52);
  EXPECT_EQ(reason(nak), Drop::malformed_mac);
  EXPECT_EQ(react(request_with_mac(2, *keys().find(2)), {}).header.error(), Drop::unknown_key);
}

TEST(Authenticate, NtsIsAnsweredSealedAndWithFreshCookies) {  // G8
  const auto parts = nts::good_parts(3);
  const auto outcome = react(parts.bytes());
  ASSERT_TRUE(outcome.header);
  EXPECT_EQ(outcome.bytes.size(), parts.bytes().size());
  const auto answer = nts::open_answer(outcome.bytes, nts::kUniqueId, parts.keys);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->cookies.size(), 4u);
  EXPECT_EQ(answer->header.org.bits, parts.header.xmt.bits);
  EXPECT_EQ(answer->header.stratum, 2);
}

TEST(Authenticate, AnUnprovenNtsRequestGetsNtsnWithoutAnyTime) {  // RFC 8915 section 5.7
  auto parts = nts::good_parts(0);
  parts.header.poll = 6;
  parts.keys.c2s.assign(Bytes(32));
  const auto outcome = react(parts.bytes());
  ASSERT_TRUE(outcome.header);
  ASSERT_EQ(outcome.bytes.size(), 48u + 36u);
  const auto header = wire::parse_header(std::span(outcome.bytes).first<48>());
  EXPECT_EQ(header.leap, wire::Leap::unknown);
  EXPECT_EQ(header.stratum, 0);
  EXPECT_EQ(header.refid, nts::kKissNtsn);
  EXPECT_EQ(header.poll, 6);
  EXPECT_EQ(header.org.bits, parts.header.xmt.bits);
  EXPECT_EQ(header.rec.bits | header.xmt.bits | header.reftime.bits, 0u);
  EXPECT_EQ(nts::open_answer(outcome.bytes, nts::kUniqueId, nts::session_keys()).error(),
            nts::AnswerReject::nak);
}

TEST(Authenticate, WithoutCookieKeysNtsIsOff) {
  const auto request = nts::good_parts(0).bytes();
  EXPECT_EQ(react(request, {&keys(), nullptr}).header.error(), Drop::nts_disabled);
  auto lacking = nts::good_parts(0);
  lacking.fields.erase(lacking.fields.begin());
  EXPECT_EQ(react(lacking.bytes()).header.error(), Drop::malformed_nts);
}

// Good and bad ones of both kinds, proven and sealed together as a worker does it: what is wrong
// with one is nothing to the others.
TEST(Authenticate, ManyAtOnceAreProvenLikeEachAlone) {
  std::vector<Bytes> requests;
  for (unsigned i = 0; i < 30; ++i) {
    auto parts = nts::good_parts(i % 9);
    if (i % 5 == 1) parts.keys.c2s.assign(Bytes(32));
    if (i % 7 == 2) parts.fields[1] = nts::field(wire::kNtsCookie, Bytes(104, std::byte{0x55}));
    if (i % 11 == 3) parts.fields.erase(parts.fields.begin());
    if (i % 13 == 4) parts.plaintext = nts::field(0x4204, Bytes(24));
    requests.push_back(parts.bytes());
    requests.push_back(request_with_mac(1 + i % 7, *keys().find(1 + i % 7)));
    if (i % 6 == 0) requests.back().back() ^= std::byte{1};
  }
  crypto::RandomStream random({});
  const Secrets secrets{&keys(), &cookies()};
  std::vector<wire::Packet> packets;
  for (const Bytes& request : requests) packets.push_back(*wire::parse_packet(request));
  std::vector<Seal> seals(requests.size());
  std::vector<Claim> claims;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    claims.push_back({.bytes = requests[i], .packet = &packets[i], .seal = &seals[i]});
  }
  authenticate(claims, secrets, random);
  std::vector<Bytes> replies(requests.size());
  std::vector<Seal::Application> to_apply;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (claims[i].drop) continue;
    replies[i].assign(seals[i].size(), std::byte{0xee});
    std::ranges::fill(std::span(replies[i]).first(wire::kHeaderSize), std::byte{});
    wire::encode_header({.mode = wire::Mode::server, .stratum = 1},
                        std::span(replies[i]).first<wire::kHeaderSize>());
    to_apply.push_back({.by = &seals[i], .out = replies[i]});
  }
  Seal::apply(to_apply);
  int good = 0;
  int refused = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Seal alone;
    std::array claim{Claim{.bytes = requests[i], .packet = &packets[i], .seal = &alone}};
    authenticate(claim, secrets, random);
    ASSERT_EQ(claims[i].drop, claim[0].drop) << i;
    if (claims[i].drop) continue;
    ASSERT_EQ(seals[i].kind(), alone.kind()) << i;
    ASSERT_EQ(seals[i].size(), alone.size()) << i;
    if (seals[i].kind() == Seal::Kind::nts_nak) ++refused;
    if (seals[i].kind() != Seal::Kind::nts) continue;
    ++good;
    const auto answer = nts::open_answer(replies[i], nts::kUniqueId, nts::session_keys());
    ASSERT_TRUE(answer) << i;
    for (const Bytes& cookie : answer->cookies) EXPECT_TRUE(cookies().open(cookie)) << i;
  }
  EXPECT_GT(good, 10);
  EXPECT_GT(refused, 4);
}

// Of an address that is above its limit, with no chance to be answered unproven.
class ProofOverTheLimit : public testing::Test {
 protected:
  ProofOverTheLimit() { limiter_.begin({.limit = 1, .burst = 0, .leak = 1'000'000}, kNow, false); }
  Outcome ask(const Bytes& request) { return react(request, {&keys(), &cookies()}, &limiter_); }
  void spend_the_budget() {
    while (limiter_.may_examine({.within = false})) {
    }
  }

  KissGate gate_;
  RateLimiter limiter_{{1, 2}, 3, gate_};
};

TEST_F(ProofOverTheLimit, WhoProvesWhoItIsIsAnsweredAsLongAsProofsAreExamined) {
  const Bytes mac = request_with_mac(6, *keys().find(6));
  const Bytes nts = nts::good_parts(0).bytes();
  EXPECT_TRUE(ask(mac).header);  // the one within the limit
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(ask(mac).header);
    EXPECT_TRUE(ask(nts).header);
  }
  spend_the_budget();
  EXPECT_EQ(ask(mac).header.error(), Drop::over_limit);
  EXPECT_EQ(ask(nts).header.error(), Drop::over_limit);
}

TEST_F(ProofOverTheLimit, ForgedProofsAreNotExaminedWhenTheBudgetIsSpent) {
  Bytes forged = request_with_mac(6, *keys().find(6));
  forged.back() ^= std::byte{1};
  EXPECT_EQ(ask(forged).header.error(), Drop::bad_mac);  // which within the limit is its own reason
  int examined = 0;
  while (ask(forged).header.error() == Drop::bad_mac) ++examined;
  EXPECT_EQ(examined, static_cast<int>(kProofBurst + 1));
  EXPECT_EQ(ask(forged).header.error(), Drop::over_limit);
  auto garbage = nts::good_parts(0);
  garbage.fields[1] = nts::field(wire::kNtsCookie, Bytes(104, std::byte{0x55}));
  EXPECT_EQ(ask(garbage.bytes()).header.error(), Drop::over_limit);
}

TEST(Authenticate, ASealThatWasUsedForMoreIsUsedForLess) {  // slots are used again
  crypto::RandomStream random({});
  Seal seal;
  Authentication by{.secrets = {&keys(), &cookies()}, .random = random, .seal = seal};
  const auto size = [&](const Bytes& request) {
    EXPECT_TRUE(respond(arrival_of(request), describe_clock({}, kNow), {}, kRec, nullptr, &by));
    return seal.size();
  };
  Bytes plain(wire::kHeaderSize);
  plain[0] = std::byte{0x23};
  EXPECT_GT(size(nts::good_parts(2).bytes()), 300u);
  EXPECT_EQ(size(plain), 48u);
  EXPECT_EQ(seal.kind(), Seal::Kind::none);
  EXPECT_EQ(size(request_with_mac(2, *keys().find(2))), 72u);
  EXPECT_TRUE(seal.is_proven());
  auto wrong = nts::good_parts(0);
  wrong.keys.c2s.assign(Bytes(32));
  EXPECT_EQ(size(wrong.bytes()), 84u);
  EXPECT_FALSE(seal.is_proven());
}

}  // namespace
}  // namespace ntp::server

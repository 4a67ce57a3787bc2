#include "nts/ke_server.h"

#include <gtest/gtest.h>

#include "crypto/hex_test.h"
#include "nts/fixture_test.h"
#include "nts/ke_client.h"

namespace ntp::nts {
namespace {

using crypto::AeadId;
using crypto::from_hex;
using crypto::to_hex;
using enum KeServer::Step;

// Records as hexadecimal words: critical bit and type, length, body.
constexpr std::string_view kNtpv4 = "8001 0002 0000 ";
constexpr std::string_view kSiv = "8004 0002 000f ";
constexpr std::string_view kEnd = "8000 0000 ";

struct Outcome {
  KeServer::Step step{};
  KeServer::Outcome reason{};
  std::string answer{};  // of a refusal
  bool operator==(const Outcome&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Outcome& o) {
  return out << static_cast<int>(o.step) << '/' << static_cast<int>(o.reason) << '/' << o.answer;
}

Outcome fed(const Bytes& message, std::size_t split) {
  KeServer machine;
  machine.feed(std::span(message).first(split));
  machine.feed(std::span(message).subspan(split));
  Outcome outcome{.step = machine.step(), .reason = machine.outcome()};
  if (machine.step() == refused) {
    std::array<std::byte, kMaxKeAnswer> out;
    outcome.answer = to_hex(std::span(out).first(machine.write_refusal(out)));
  }
  return outcome;
}

// The same at every split, and octet by octet.
Outcome fed(std::string_view records) {
  const Bytes message = from_hex(records);
  const Outcome whole = fed(message, 0);
  for (std::size_t split = 1; split <= message.size(); ++split) {
    EXPECT_EQ(fed(message, split), whole) << "split at " << split << " of " << records;
  }
  KeServer machine;
  for (const std::byte& octet : message) machine.feed(std::span(&octet, 1));
  EXPECT_EQ(machine.step(), whole.step) << records;
  return whole;
}

std::string join(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const auto part : parts) all += part;
  return all;
}

const Outcome kAgreed{agreed, KeServer::Outcome::none, ""};
const Outcome kBad{refused, KeServer::Outcome::bad_request, "80020002000180000000"};
const Outcome kCritical{refused, KeServer::Outcome::unrecognized_critical_record,
                        "80020002000080000000"};
const Outcome kNoProtocol{refused, KeServer::Outcome::no_common_protocol, "8001000080000000"};
const Outcome kNoAead{refused, KeServer::Outcome::no_common_aead, "8001000200008004000080000000"};
const Outcome kMore{need_more, KeServer::Outcome::none, ""};
const Outcome kClosed{closed, KeServer::Outcome::none, ""};

struct Case {
  std::string_view what;
  std::string records;
  Outcome expected;
};

// CONFORMANCE, "NTS-KE"; sections are RFC 8915's.
TEST(KeServer, DecidesByTheTable) {
  const std::vector<Case> cases = {
      {"the least that works", join({kNtpv4, kSiv, kEnd}), kAgreed},
      {"4.1.5: AEAD need not be critical", join({kNtpv4, "0004 0002 000f", kEnd}), kAgreed},
      {"any order", join({kSiv, kNtpv4, kEnd}), kAgreed},
      {"several protocols", join({"8001 0006 8001 0000 0007", kSiv, kEnd}), kAgreed},
      {"several AEADs", join({kNtpv4, "8004 0006 0010 000f 0011", kEnd}), kAgreed},
      {"4: unknown record, not critical", join({kNtpv4, kSiv, "4abc 0003 010203", kEnd}), kAgreed},
      {"an empty unknown record", join({kNtpv4, "1234 0000", kSiv, kEnd}), kAgreed},
      {"4.1.7: a wish for a server", join({kNtpv4, kSiv, "0006 0003 616263", kEnd}), kAgreed},
      {"4.1.8: a wish for a port", join({kNtpv4, kSiv, "0007 0002 007b", kEnd}), kAgreed},
      {"chrony's record 1024", join({kNtpv4, kSiv, "0400 0000", kEnd}), kAgreed},

      {"4.1.2: no next protocol", join({kSiv, kEnd}), kBad},
      {"4.1.2: two of them", join({kNtpv4, kNtpv4, kSiv, kEnd}), kBad},
      {"4.1.2: not critical", join({"0001 0002 0000", kSiv, kEnd}), kBad},
      {"4.1.2: empty", join({"8001 0000", kSiv, kEnd}), kBad},
      {"4.1.2: odd", join({"8001 0003 000000", kSiv, kEnd}), kBad},
      {"4.1.5: no AEAD", join({kNtpv4, kEnd}), kBad},
      {"4.1.5: two of them", join({kNtpv4, kSiv, kSiv, kEnd}), kBad},
      {"4.1.5: empty", join({kNtpv4, "8004 0000", kEnd}), kBad},
      {"4.1.5: odd", join({kNtpv4, "8004 0003 000f00", kEnd}), kBad},
      {"4.1.5: one octet", join({kNtpv4, "8004 0001 0f", kEnd}), kBad},
      {"4.1.3: a client's error", join({kNtpv4, kSiv, "8002 0002 0001", kEnd}), kBad},
      {"4.1.4: a client's warning", join({kNtpv4, kSiv, "8003 0002 0001", kEnd}), kBad},
      {"4.1.6: a client's cookie", join({kNtpv4, kSiv, "0005 0004 01020304", kEnd}), kBad},
      {"4.1.1: end with a body", join({kNtpv4, kSiv, "8000 0001 00"}), kBad},
      {"4.1.1: end not critical", join({kNtpv4, kSiv, "0000 0000"}), kBad},
      {"4.1.8: a port of one octet", join({kNtpv4, kSiv, "0007 0001 7b", kEnd}), kBad},
      {"record 1024 with a body", join({kNtpv4, kSiv, "0400 0001 00", kEnd}), kBad},
      {"nothing but the end", std::string(kEnd), kBad},

      {"4: unknown critical record", join({kNtpv4, kSiv, "c000 0000", kEnd}), kCritical},
      {"with a body", join({"8abc 0004 01020304", kNtpv4, kSiv, kEnd}), kCritical},
      {"the last type", join({kNtpv4, kSiv, "ffff 0001 00", kEnd}), kCritical},
      {"before another fault", join({"c000 0000", kNtpv4, kEnd}), kCritical},
      {"behind another fault", join({"8001 0000", "c000 0000", kSiv, kEnd}), kBad},

      {"4.1.2: nothing in common", join({"8001 0002 8001", kSiv, kEnd}), kNoProtocol},
      {"4.1.2: without AEADs then", join({"8001 0002 8001", kEnd}), kNoProtocol},
      {"4.1.5: no AEAD in common", join({kNtpv4, "8004 0002 ffff", kEnd}), kNoAead},
      {"4.1.5: many, none of ours", join({kNtpv4, "8004 0006 0001 0010 0012", kEnd}), kNoAead},

      {"no end", join({kNtpv4, kSiv}), kMore},
      {"half a header", join({kNtpv4, kSiv, "8000"}), kMore},
      {"half a body", join({kNtpv4, "8004 0002 00"}), kMore},
      {"nothing", "", kMore},
      {"an octet behind the end", join({kNtpv4, kSiv, kEnd, "00"}), kClosed},
  };
  for (const Case& one : cases) {
    Outcome got = fed(one.records);
    if (got.step == closed) got = kClosed;
    EXPECT_EQ(got, one.expected) << one.what;
  }
}

TEST(KeServer, TakesMessagesUpTo16KiBAndNoLonger) {
  const std::size_t fixed = from_hex(join({kNtpv4, kSiv, kEnd})).size() + kKeRecordHeader;
  for (const std::size_t size : {std::size_t{1024}, kMaxKeMessage, kMaxKeMessage + 1}) {
    Bytes message = from_hex(join({kNtpv4, kSiv}));
    const std::size_t body = size - fixed;
    const Bytes filler = {std::byte{0x12}, std::byte{0x34}, std::byte(body >> 8),
                          std::byte(body & 255)};
    message.insert(message.end(), filler.begin(), filler.end());
    message.resize(message.size() + body);
    const Bytes end = from_hex(kEnd);
    message.insert(message.end(), end.begin(), end.end());
    ASSERT_EQ(message.size(), size);
    EXPECT_EQ(fed(message, 0), size <= kMaxKeMessage ? kAgreed : kBad) << size;
  }
}

TEST(KeServer, AnEndlessRecordIsRefusedWithoutItsEnd) {
  KeServer machine;
  machine.feed(from_hex("1234 ffff"));
  EXPECT_EQ(machine.feed(Bytes(kMaxKeMessage)), closed) << "the octets behind the refusal";
  EXPECT_EQ(machine.outcome(), KeServer::Outcome::bad_request);
}

TEST(KeServer, TakesTheFirstOfTheClientsListThatItCan) {
  KeServer machine;
  machine.feed(from_hex(join({kNtpv4, "8004 0006 0011 001e 000f", "0400 0000", kEnd})));
  ASSERT_EQ(machine.step(), agreed);
  const bool gcm = crypto::is_supported(AeadId::aes_128_gcm_siv);
  EXPECT_EQ(machine.agreement().aead, gcm ? AeadId::aes_128_gcm_siv : AeadId::aes_siv_cmac_256);
  EXPECT_EQ(machine.agreement().exported_as, machine.agreement().aead);
}

TEST(KeServer, ExportsGcmSivAsOlderChronyDoesWithoutTheRecord) {
  if (!crypto::is_supported(AeadId::aes_128_gcm_siv)) GTEST_SKIP() << "nettle has none";
  KeServer machine;
  machine.feed(from_hex(join({kNtpv4, "8004 0002 001e", kEnd})));
  EXPECT_EQ(machine.agreement(), (KeAgreement{AeadId::aes_128_gcm_siv, AeadId::aes_siv_cmac_256}));
}

TEST(ExporterContext, IsProtocolAeadAndDirection) {  // RFC 8915 section 5.1
  const KeAgreement siv{};
  EXPECT_EQ(to_hex(exporter_context(siv, KeDirection::c2s)), "0000000f00");
  EXPECT_EQ(to_hex(exporter_context(siv, KeDirection::s2c)), "0000000f01");
  const KeAgreement gcm{AeadId::aes_128_gcm_siv, AeadId::aes_128_gcm_siv};
  EXPECT_EQ(to_hex(exporter_context(gcm, KeDirection::c2s)), "0000001e00");
  EXPECT_EQ(kKeExporterLabel, "EXPORTER-network-time-security");
}

TEST(KeServer, ItsAnswerIsWhatOurClientUnderstands) {
  KeServer machine;
  std::array<std::byte, kMaxKeRequest> request;
  machine.feed(std::span(request).first(write_ke_request(request)));
  ASSERT_EQ(machine.step(), agreed);
  const SessionKeys keys = session_keys(machine.agreement().aead);
  const CookieSealer sealer(derive_cookie_key(kSecret, kEpoch));
  crypto::RandomStream random({});
  std::array<std::byte, kMaxKeAnswer> out;
  const std::string name(kMaxServerName, 'a');
  const std::size_t size =
      machine.write_agreement(keys, sealer, random, {.server = name, .port = 1123}, out);
  const auto answer = parse_ke_answer(std::span(out).first(size));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->agreement, machine.agreement());
  EXPECT_EQ(answer->server, name);
  EXPECT_EQ(answer->port, 1123);
  ASSERT_EQ(answer->cookies.size(), 8u);
  for (const Bytes& cookie : answer->cookies) {
    EXPECT_EQ(cookie_keys().open(cookie)->keys(), keys);
    EXPECT_EQ(cookie.size() % 4, 0u);
  }
  for (std::size_t cut = 0; cut < size; ++cut) {
    EXPECT_EQ(parse_ke_answer(std::span(out).first(cut)).error().reason, KeFailure::need_more);
  }
  EXPECT_EQ(to_hex(std::span(out).first(KeServer::write_internal_error(out))),
            "80020002000280000000");
}

}  // namespace
}  // namespace ntp::nts

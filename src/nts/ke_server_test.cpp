// Beyond the table of cases (tests/ke/cases.tsv).
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
constexpr std::string_view kEnd = "8000 0000 ";

std::string join(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const auto part : parts) all += part;
  return all;
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

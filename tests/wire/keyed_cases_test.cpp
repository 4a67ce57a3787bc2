// The table of a server with keys (cases_keyed.tsv), and the other one through a server with keys
// that nobody uses. Replies are judged by the keys themselves: MACs verified, NTS opened as a
// client would.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "base/bytes.h"
#include "case_table.h"
#include "keyed_server.h"
#include "nts/client_packet.h"

namespace ntp::wire_test {
namespace {

using Family = IpAddress::Family;

constexpr RawTime kNow{std::chrono::seconds(1000)};
const NtpTimestamp kRec = NtpTimestamp::from(RealTime(std::chrono::seconds(1'790'000'000)));
const server::ServerState kState{.leap = wire::Leap::none,
                                 .synchronised = true,
                                 .stratum = 3,
                                 .precision = -24,
                                 .refid = server::kRefidHost,
                                 .reftime = {kRec.bits - (5ull << 32)},
                                 .root_dispersion_s = 0.01,
                                 .at = kNow};

std::expected<Bytes, server::Drop> react(const Case& c, Family family,
                                         const server::Secrets& secrets) {
  static crypto::RandomStream random({std::byte{7}});
  static server::Seal seal;  // as in a worker: what a case leaves behind must not matter
  server::Authentication by{.secrets = secrets, .random = random, .seal = seal};
  const auto arrival = arrival_of(c, family);
  auto reply = respond(arrival, describe_clock(kState, kNow), {}, kRec, nullptr, &by);
  if (!reply) return std::unexpected(reply.error());
  Bytes out(seal.size());
  NoiseSource noise(1);
  server::seal(*reply, arrival, {kRec.bits + 200'000}, noise, seal, out);
  return out;
}

std::string header_text(const char* kind, int version, int mode, int poll, std::uint64_t origin) {
  char text[120];
  std::snprintf(text, sizeof text, "%s version=%d mode=%d poll=%d origin=%016llx", kind, version,
                mode, poll, static_cast<unsigned long long>(origin));
  return text;
}

std::string describe(const Case& c) {
  if (const auto* drop = std::get_if<server::Drop>(&c.expect)) {
    return "silence " + std::string(server::label(*drop));
  }
  const auto& e = std::get<ExpectedReply>(c.expect);
  std::string text = header_text(e.nak ? "nak" : "reply", e.version, e.mode, e.poll, e.origin);
  if (e.mac != 0) text += " mac=" + std::to_string(e.mac);
  if (e.cookies != 0) text += " cookies=" + std::to_string(e.cookies);
  if (e.size != wire::kHeaderSize) text += " size=" + std::to_string(e.size);
  return text;
}

// What stands behind the header of a reply to a request with NTS fields.
std::string describe_nts(const Case& c, const Bytes& reply) {
  const std::span<const std::byte> request(c.payload);
  const auto packet = wire::parse_packet(request);
  const auto parsed = nts::parse_nts_request(request, *packet);
  const std::string size = " size=" + std::to_string(reply.size());
  const auto answer = nts::open_answer(reply, parsed->unique_id, keyed_client());
  if (!answer) return answer.error() == nts::AnswerReject::nak ? size : " not ours" + size;
  for (const Bytes& cookie : answer->cookies) {
    const auto opened = keyed_server_cookies().open(cookie);
    if (!opened || opened->keys() != keyed_client()) return " a cookie that is none";
  }
  return " cookies=" + std::to_string(answer->cookies.size()) + size;
}

std::string describe_mac(const std::span<const std::byte> reply) {
  const auto id = ByteReader(reply.subspan(48)).read<std::uint32_t>();
  const auto* key = keyed_server_keys().find(id);
  const bool good = key != nullptr && key->verify(reply.first(48), reply.subspan(52));
  return (good ? " mac=" : " bad mac=") + std::to_string(id) +
         " size=" + std::to_string(reply.size());
}

std::string describe(const Case& c, const std::expected<Bytes, server::Drop>& reaction) {
  if (!reaction) return "silence " + std::string(server::label(reaction.error()));
  const auto header = wire::parse_header(std::span(*reaction).first<48>());
  const bool nak = header.refid == nts::kKissNtsn;
  std::string text = header_text(nak ? "nak" : "reply", header.version,
                                 static_cast<int>(header.mode), header.poll, header.org.bits);
  if (reaction->size() == 48) return text;
  const auto packet = wire::parse_packet(c.payload);
  const bool nts = packet && packet->has_nts_field;
  return text + (nts ? describe_nts(c, *reaction) : describe_mac(*reaction));
}

TEST(KeyedWireCases, TheResponderReactsAsTheTableSays) {
  const server::Secrets secrets{&keyed_server_keys(), &keyed_server_cookies()};
  const auto table = read_case_table(keyed_table_path());
  for (const Family family : {Family::v4, Family::v6}) {
    for (const Case& c : table) {
      const auto reaction = react(c, family, secrets);
      EXPECT_EQ(describe(c, reaction), describe(c)) << c.id << " (" << c.section << ')';
      if (!reaction) continue;
      EXPECT_LE(reaction->size(), c.payload.size()) << "G1: " << c.id;
      EXPECT_LE(reaction->size(), nts::kMaxReply) << c.id;
      const auto header = wire::parse_header(std::span(*reaction).first<48>());
      EXPECT_EQ(header.leap == wire::Leap::unknown, header.stratum == 0) << "G9: " << c.id;
    }
  }
  std::printf("keyed wire cases, pure responder: %zu cases\n", table.size());
}

TEST(KeyedWireCases, ThereAreEnoughOfEachKind) {
  std::map<std::string, int> groups;
  std::map<server::Drop, int> reasons;
  for (const Case& c : read_case_table(keyed_table_path())) {
    ++groups[c.id.substr(0, c.id.find('/'))];
    EXPECT_FALSE(c.section.empty()) << c.id;
    if (const auto* drop = std::get_if<server::Drop>(&c.expect)) ++reasons[*drop];
  }
  EXPECT_GE(groups["nts"], 150);
  EXPECT_GE(groups["mac"], 300);
  EXPECT_GE(reasons[server::Drop::bad_mac], 50);
  EXPECT_GE(reasons[server::Drop::malformed_nts], 50);
  EXPECT_EQ(reasons[server::Drop::nts_disabled], 0);
}

// G7: what is plain is answered as if there were no keys.
TEST(KeyedWireCases, KeysThatNobodyUsesChangeNothing) {
  const server::SymmetricKeys strange(
      {{.id = 777, .key = *crypto::MacKey::make(crypto::MacType::sha1, Bytes(20))}});
  for (const Case& c : read_case_table(case_table_path())) {
    const auto reaction = react(c, Family::v4, {&strange, nullptr});
    EXPECT_EQ(describe(c, reaction), describe(c)) << c.id;
  }
}

// The judge itself: what is wrong in a reply must not pass.
TEST(KeyedWireCases, TheJudgeSeesEveryBit) {
  const server::Secrets secrets{&keyed_server_keys(), &keyed_server_cookies()};
  int judged = 0;
  for (const Case& c : read_case_table(keyed_table_path())) {
    if (c.id != "nts/1-placeholders" && c.id != "mac/v4-sha256" && c.id != "nts/wrong-c2s")
      continue;
    const auto good = react(c, Family::v4, secrets);
    ASSERT_EQ(describe(c, good), describe(c));
    const bool nak = std::get<ExpectedReply>(c.expect).nak;
    for (std::size_t at = nak ? 52 : 0; at < good->size(); ++at) {  // nothing protects NTSN
      auto bad = good;
      (*bad)[at] ^= std::byte{1};
      EXPECT_NE(describe(c, bad), describe(c)) << c.id << ": " << at;
    }
    ++judged;
  }
  EXPECT_EQ(judged, 3);
}

}  // namespace
}  // namespace ntp::wire_test

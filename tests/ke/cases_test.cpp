// The table of key establishment (cases.tsv) through the machine of src/nts/ke_server.h, delivered
// in every way, and through a whole session of TLS. Answers are taken apart by hand.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "crypto/hex_test.h"
#include "ke/session.h"
#include "nts/ke_server.h"
#include "tls/test_client.h"

namespace ntp::ke {
namespace {

using Bytes = std::vector<std::byte>;
using Step = nts::KeServer::Step;
using control::KeOutcome;

// Messages up to this size are split at every place; of longer ones at both ends and here and
// there.
constexpr std::size_t kSplitEverywhere = 2500;

struct Case {
  std::string id, section;
  Bytes octets;
  std::string expected;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

Bytes unpack(const std::string& notation) {
  Bytes all;
  if (notation == "-") return all;
  for (const std::string& word : split(notation, ' ')) {
    const auto star = word.find('*');
    const Bytes once = crypto::from_hex(word.substr(0, star));
    const int times = star == std::string::npos ? 1 : std::stoi(word.substr(star + 1));
    for (int i = 0; i < times; ++i) all.insert(all.end(), once.begin(), once.end());
  }
  return all;
}

std::string applicable(const std::string& expected) {
  constexpr std::string_view kElse = " else ";
  const auto at = expected.find(kElse);
  if (at == std::string::npos) return expected;
  return crypto::is_supported(crypto::AeadId::aes_128_gcm_siv) ? expected.substr(0, at)
                                                               : expected.substr(at + kElse.size());
}

const std::vector<Case>& table() {
  static const auto cases = [] {
    std::vector<Case> read;
    std::ifstream in(NTP_SOURCE_DIR "/tests/ke/cases.tsv");
    for (std::string line; std::getline(in, line);) {
      if (line.empty() || line.front() == '#') continue;
      const auto columns = split(line, '\t');
      if (columns.size() != 4) throw std::runtime_error("not four columns: " + line);
      read.push_back({columns[0], columns[1], unpack(columns[2]), applicable(columns[3])});
    }
    return read;
  }();
  return cases;
}

// The words of the table that stand for an answer.
const std::map<std::string, std::string> kAnswers = {
    {"80010002000080040002000f"
     "COOKIES"
     "80000000",
     "agreed-15"},
    {"80010002000080040002001e04000000"
     "COOKIES"
     "80000000",
     "agreed-30"},
    {"80010002000080040002001e"
     "COOKIES"
     "80000000",
     "agreed-30-as-15"},
    {"80020002000180000000", "bad_request"},
    {"80020002000080000000", "unrecognized_critical_record"},
    {"8001000080000000", "no_common_protocol"},
    {"8001000200008004000080000000", "no_common_aead"}};

// An answer as one of them; what it is where it is none. Eight cookies of one size make COOKIES.
std::string word_for(const Bytes& answer) {
  std::string text;
  std::set<std::size_t> sizes;
  int cookies = 0;
  for (std::size_t at = 0; at + 4 <= answer.size();) {
    const auto number = [&](std::size_t where) {
      return std::to_integer<std::size_t>(answer[where]) << 8 |
             std::to_integer<std::size_t>(answer[where + 1]);
    };
    const std::size_t size = 4 + number(at + 2);
    if (at + size > answer.size()) return "a record that is cut off";
    if (number(at) == 5) {
      sizes.insert(number(at + 2));
      if (++cookies == 8) text += "COOKIES";
    } else {
      text += crypto::to_hex(std::span(answer).subspan(at, size));
    }
    at += size;
  }
  if (cookies != 0 && (cookies != 8 || sizes.size() != 1 || *sizes.begin() % 4 != 0)) {
    return "cookies of another number or size";
  }
  const auto found = kAnswers.find(text);
  return found == kAnswers.end() ? text : found->second;
}

const nts::CookieSealer& sealer() {
  static const Bytes secret(32, std::byte{1});
  static const nts::CookieSealer made(nts::derive_cookie_key(secret, 7));
  return made;
}

std::string reaction_of(const nts::KeServer& machine) {
  std::array<std::byte, nts::kMaxKeAnswer> out;
  std::size_t size = 0;
  switch (machine.step()) {
    case Step::need_more:
      return "waits";
    case Step::closed:
      return "closed";
    case Step::refused:
      size = machine.write_refusal(out);
      break;
    case Step::agreed: {
      nts::SessionKeys keys{.aead = machine.agreement().aead};
      keys.c2s.resize(crypto::key_size(keys.aead));
      keys.s2c.resize(crypto::key_size(keys.aead));
      crypto::RandomStream random({});
      size = machine.write_agreement(keys, sealer(), random, {}, out);
    }
  }
  return word_for(Bytes(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)));
}

std::string reaction_to(const Bytes& octets, std::size_t cut) {
  nts::KeServer machine;
  machine.feed(std::span(octets).first(cut));
  machine.feed(std::span(octets).subspan(cut));
  return reaction_of(machine);
}

TEST(KeCases, TheServerAnswersAsTheTableSays) {
  for (const Case& c : table()) {
    nts::KeServer machine;
    machine.feed(c.octets);
    EXPECT_EQ(reaction_of(machine), c.expected) << c.id << " (" << c.section << ')';
  }
  std::printf("key establishment, pure machine: %zu cases\n", table().size());
}

TEST(KeCases, OctetByOctetTheAnswerIsTheSame) {
  for (const Case& c : table()) {
    nts::KeServer machine;
    for (const std::byte& octet : c.octets) machine.feed(std::span(&octet, 1));
    EXPECT_EQ(reaction_of(machine), c.expected) << c.id;
  }
}

TEST(KeCases, SplitAtEveryPlaceTheAnswerIsTheSame) {
  for (const Case& c : table()) {
    const std::size_t size = c.octets.size();
    for (std::size_t cut = 0; cut <= size; ++cut) {
      const bool here = size <= kSplitEverywhere || cut < 64 || size - cut < 64 || cut % 509 == 0;
      if (!here) continue;
      ASSERT_EQ(reaction_to(c.octets, cut), c.expected) << c.id << ", split at " << cut;
    }
  }
}

// Cut short, a message decides nothing: not the octets that are there but its end does.
TEST(KeCases, NothingIsDecidedBeforeTheEndOfTheMessage) {
  for (const Case& c : table()) {
    if (c.expected == "waits" || c.expected == "closed") continue;
    if (c.octets.size() > kSplitEverywhere) continue;
    nts::KeServer machine;
    machine.feed(std::span(c.octets).first(c.octets.size() - 1));
    // An end with a body, which is a fault, ends the message at the end of the body.
    EXPECT_EQ(machine.step(), Step::need_more) << c.id;
  }
}

TEST(KeCases, ThereAreEnoughOfEachKind) {
  std::set<std::string> ids;
  std::map<std::string, int> kinds;
  for (const Case& c : table()) {
    EXPECT_TRUE(ids.insert(c.id).second) << c.id;
    EXPECT_FALSE(c.section.empty()) << c.id;
    ++kinds[c.expected.substr(0, 6)];
  }
  EXPECT_GE(table().size(), 80u);
  for (const char* kind : {"agreed", "bad_re", "unreco", "waits", "closed"}) {
    EXPECT_GE(kinds[kind], 5) << kind;
  }
  EXPECT_GE(kinds["no_com"], 10);
}

// ---- the same through TLS
// ---------------------------------------------------------------------------

using tls::testing::Client;

struct Minted : Mint {
  Minted() : Mint(crypto::RandomStream::Seed{}) { sealer.emplace(ke::sealer()); }
};

void carry(Client& client, Session& session) {
  session.feed(client.take());
  client.give(session.pending());
  session.sent(session.pending().size());
}

// What the client reads, and whether the server has said that it is over.
std::string reading_of(Client& client) {
  Bytes all(1 << 13);
  std::size_t size = 0;
  int count = 0;
  do {
    count = SSL_read(client.get(), all.data() + size, static_cast<int>(all.size() - size));
    if (count > 0) size += static_cast<std::size_t>(count);
  } while (count > 0);
  all.resize(size);
  const bool over = (SSL_get_shutdown(client.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  if (size == 0) return over ? "closed" : "waits";
  return over ? word_for(all) : "an answer without close_notify";
}

KeOutcome outcome_for(const std::string& expected) {
  if (expected.starts_with("agreed")) return KeOutcome::ok;
  if (expected == "unrecognized_critical_record") return KeOutcome::unknown_critical;
  if (expected == "no_common_protocol") return KeOutcome::no_protocol;
  if (expected == "no_common_aead") return KeOutcome::no_aead;
  return KeOutcome::bad_request;
}

control::KeAead aead_for(const std::string& expected) {
  using control::KeAead;
  if (expected == "agreed-30") return KeAead::gcm_siv;
  return expected == "agreed-30-as-15" ? KeAead::gcm_siv_of_chrony_4_4 : KeAead::siv_cmac_256;
}

TEST(KeCases, TheSameThroughTls) {
  const tls::testing::Files files;
  const tls::ServerContext context = files.context();
  Minted mint;
  for (const Case& c : table()) {
    Session session(context, mint);
    Client client({});
    for (int turn = 0; turn < 4; ++turn) {
      client.shake();
      carry(client, session);
    }
    if (!c.octets.empty()) {
      const int size = static_cast<int>(c.octets.size());
      ASSERT_EQ(SSL_write(client.get(), c.octets.data(), size), size);
    }
    carry(client, session);
    EXPECT_EQ(reading_of(client), c.expected) << c.id << " (" << c.section << ')';
    if (c.expected == "waits") {
      EXPECT_EQ(session.outcome(), std::nullopt) << c.id;
    } else {
      EXPECT_EQ(session.outcome(), outcome_for(c.expected)) << c.id;
    }
    if (c.expected.starts_with("agreed")) {
      EXPECT_EQ(session.aead(), aead_for(c.expected)) << c.id;
    }
  }
}

}  // namespace
}  // namespace ntp::ke

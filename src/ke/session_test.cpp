#include "ke/session.h"

#include <openssl/err.h>

#include <cstring>

#include "nts/ke_client.h"
#include "tls/test_client.h"

namespace ntp::ke {
namespace {

using control::KeOutcome;
using tls::testing::Client;
using tls::testing::Files;

const tls::ServerContext& context() {
  static const Files kFiles;
  static const tls::ServerContext kContext = kFiles.context();
  return kContext;
}

struct WorkingMint : Mint {
  WorkingMint() : Mint(crypto::RandomStream::Seed{}) {
    nts::CookieKey key{.epoch = 7};
    key.key.resize(nts::kCookieKeySize);
    sealer.emplace(key);
  }
};

std::vector<std::byte> request_of(std::initializer_list<int> octets) {
  std::vector<std::byte> out;
  for (const int octet : octets) out.push_back(static_cast<std::byte>(octet));
  return out;
}
const std::vector<std::byte> kRequest =
    request_of({0x80, 1, 0, 2, 0, 0, 0x80, 4, 0, 2, 0, 15, 0x80, 0, 0, 0});

void carry(Client& client, Session& session) {
  session.feed(client.take());
  client.give(session.pending());
  session.sent(session.pending().size());
}

void shake_hands(Client& client, Session& session) {
  for (int turn = 0; turn < 4; ++turn) {
    client.shake();
    carry(client, session);
  }
}

// What the client can read until the server's close_notify; nothing where that is missing.
std::optional<std::vector<std::byte>> read_all(Client& client) {
  std::vector<std::byte> all(1 << 15);
  std::size_t size = 0;
  while (true) {
    const int count =
        SSL_read(client.get(), all.data() + size, static_cast<int>(all.size() - size));
    if (count <= 0) break;
    size += static_cast<std::size_t>(count);
  }
  all.resize(size);
  if ((SSL_get_shutdown(client.get()) & SSL_RECEIVED_SHUTDOWN) == 0) return std::nullopt;
  return all;
}

void say(Client& client, std::span<const std::byte> octets) {
  ASSERT_EQ(SSL_write(client.get(), octets.data(), static_cast<int>(octets.size())),
            static_cast<int>(octets.size()));
}

nts::SessionKeys keys_of(Client& client, const nts::KeAgreement& agreement) {
  nts::SessionKeys keys{.aead = agreement.aead};
  for (const auto direction : {nts::KeDirection::c2s, nts::KeDirection::s2c}) {
    const auto about = nts::exporter_context(agreement, direction);
    auto& key = direction == nts::KeDirection::c2s ? keys.c2s : keys.s2c;
    const auto out = key.resize(crypto::key_size(agreement.aead));
    EXPECT_EQ(SSL_export_keying_material(
                  client.get(), reinterpret_cast<unsigned char*>(out.data()), out.size(),
                  nts::kKeExporterLabel.data(), nts::kKeExporterLabel.size(),
                  reinterpret_cast<const unsigned char*>(about.data()), about.size(), 1),
              1);
  }
  return keys;
}

TEST(Session, CookiesHoldTheKeysThatTheClientExports) {
  WorkingMint made;
  Session session(context(), made);
  Client client({});
  shake_hands(client, session);
  EXPECT_EQ(session.outcome(), std::nullopt);
  std::array<std::byte, nts::kMaxKeRequest> request;
  say(client, std::span(request).first(nts::write_ke_request(request)));
  carry(client, session);
  EXPECT_EQ(session.outcome(), KeOutcome::ok);
  const auto octets = read_all(client);
  ASSERT_TRUE(octets) << "close_notify";
  const auto answer = nts::parse_ke_answer(*octets);
  ASSERT_TRUE(answer) << words(answer.error().reason);
  ASSERT_EQ(answer->cookies.size(), 8u);
  EXPECT_EQ(answer->port, std::nullopt);
  const auto keys = keys_of(client, answer->agreement);
  for (const auto& cookie : answer->cookies) {
    nts::SessionKeys opened;
    ASSERT_TRUE(made.sealer->open(cookie, opened));
    EXPECT_EQ(opened.c2s, keys.c2s);
    EXPECT_EQ(opened.s2c, keys.s2c);
    EXPECT_EQ(opened.aead, answer->agreement.aead);
  }
}

TEST(Session, TellsOfAnotherPort) {
  WorkingMint made;
  made.ntp_port = 1123;
  Session session(context(), made);
  Client client({});
  shake_hands(client, session);
  say(client, kRequest);
  carry(client, session);
  const auto answer = nts::parse_ke_answer(read_all(client).value());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->port, 1123);
}

TEST(Session, WithoutAKeyForCookiesSaysSo) {
  Mint none{crypto::RandomStream::Seed{}};
  Session session(context(), none);
  Client client({});
  shake_hands(client, session);
  say(client, kRequest);
  carry(client, session);
  EXPECT_EQ(session.outcome(), KeOutcome::internal_error);
  const auto answer = nts::parse_ke_answer(read_all(client).value());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, 2);
}

// In two TLS records, split at every octet; and the octets of TLS split as well.
TEST(Session, ARequestMayBeSplitAnywhere) {
  for (std::size_t split = 1; split < kRequest.size(); ++split) {
    WorkingMint made;
    Session session(context(), made);
    Client client({});
    shake_hands(client, session);
    say(client, std::span(kRequest).first(split));
    carry(client, session);
    EXPECT_EQ(session.outcome(), std::nullopt) << split;
    say(client, std::span(kRequest).subspan(split));
    const auto last = client.take();
    for (const std::byte octet : last) session.feed(std::span(&octet, 1));
    client.give(session.pending());
    EXPECT_EQ(session.outcome(), KeOutcome::ok) << split;
    EXPECT_TRUE(nts::parse_ke_answer(read_all(client).value())) << split;
  }
}

TEST(Session, AnswersWhatIsWrongWithItsError) {
  struct Case {
    std::vector<std::byte> request;
    KeOutcome outcome;
    std::size_t answer;  // octets
  };
  const Case cases[] = {
      {request_of({0x80, 0, 0, 0}), KeOutcome::bad_request, 10},
      {request_of({0x80, 0x55, 0, 0, 0x80, 1, 0, 2, 0, 0, 0x80, 4, 0, 2, 0, 15, 0x80, 0, 0, 0}),
       KeOutcome::unknown_critical, 10},
      {request_of({0x80, 1, 0, 2, 0, 9, 0x80, 0, 0, 0}), KeOutcome::no_protocol, 8},
      {request_of({0x80, 1, 0, 2, 0, 0, 0x80, 4, 0, 2, 0, 99, 0x80, 0, 0, 0}), KeOutcome::no_aead,
       14},
  };
  for (const auto& wrong : cases) {
    WorkingMint made;
    Session session(context(), made);
    Client client({});
    shake_hands(client, session);
    say(client, wrong.request);
    carry(client, session);
    EXPECT_EQ(session.outcome(), wrong.outcome);
    const auto octets = read_all(client);
    ASSERT_TRUE(octets);
    EXPECT_EQ(octets->size(), wrong.answer);
  }
}

TEST(Session, OctetsAfterTheEndOfTheMessageEndItWithoutAnAnswer) {
  WorkingMint made;
  Session session(context(), made);
  Client client({});
  shake_hands(client, session);
  auto request = kRequest;
  request.push_back(std::byte{0});
  say(client, request);
  carry(client, session);
  EXPECT_EQ(session.outcome(), KeOutcome::bad_request);
  EXPECT_EQ(read_all(client).value().size(), 0u);
}

TEST(Session, AClientThatGoesBeforeItHasAskedIsBrokenOff) {
  WorkingMint made;
  Session session(context(), made);
  Client client({});
  shake_hands(client, session);
  say(client, std::span(kRequest).first(5));
  SSL_shutdown(client.get());
  carry(client, session);
  EXPECT_EQ(session.outcome(), KeOutcome::broken_off);
}

TEST(Session, RefusalsOfTlsAreOutcomes) {
  for (const auto& [options, outcome] :
       {std::pair{Client::Options{.alpn = {}}, KeOutcome::no_alpn},
        {Client::Options{.alpn = {"h2"}}, KeOutcome::wrong_alpn},
        {Client::Options{.most = TLS1_2_VERSION}, KeOutcome::tls_version}}) {
    WorkingMint made;
    Session session(context(), made);
    Client client(options);
    client.shake();
    session.feed(client.take());
    EXPECT_EQ(session.outcome(), outcome);
    EXPECT_FALSE(session.pending().empty()) << "an alert";
  }
}

std::span<const std::byte> octets_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(Session, WhatIsNoTlsOrBrokenIsToldApart) {
  const auto outcome_after = [](const auto& say_something) {
    WorkingMint made;
    Session session(context(), made);
    Client client({});
    say_something(client, session);
    return session.outcome();
  };
  EXPECT_EQ(outcome_after([](Client&, Session& session) {
              session.feed(octets_of("GET / HTTP/1.1\r\n\r\n"));
            }),
            KeOutcome::not_tls);
  EXPECT_EQ(outcome_after([](Client& client, Session& session) {
              // No cipher of the server's.
              SSL_set_ciphersuites(client.get(), "TLS_AES_128_CCM_SHA256");
              client.shake();
              session.feed(client.take());
            }),
            KeOutcome::tls_no_agreement);
  EXPECT_EQ(outcome_after([](Client& client, Session& session) {
              client.shake();
              auto hello = client.take();
              hello.at(5 + 4 + 2 + 32) = std::byte{0xff};  // the length of the session id
              session.feed(hello);
            }),
            KeOutcome::tls_malformed);
  EXPECT_EQ(outcome_after([](Client& client, Session& session) {
              client.shake();
              session.feed(client.take());
              session.feed(octets_of(std::string_view("\x15\3\3\0\2\2\x30", 7)));  // unknown_ca
            }),
            KeOutcome::tls_alert);
}

TEST(Session, MayBeSentInPieces) {
  WorkingMint made;
  Session session(context(), made);
  Client client({});
  shake_hands(client, session);
  say(client, kRequest);
  session.feed(client.take());
  while (!session.pending().empty()) {
    client.give(session.pending().first(1));
    session.sent(1);
  }
  EXPECT_TRUE(nts::parse_ke_answer(read_all(client).value()));
}

}  // namespace
}  // namespace ntp::ke

#include "ke/client_session.h"

#include <gtest/gtest.h>

#include "ke/session.h"
#include "tls/test_client.h"

namespace ntp::ke {
namespace {

using nts::KeTrouble;
using tls::testing::Files;

const Files& files() {
  static const Files kFiles;
  return kFiles;
}

tls::ClientContext roots(const Files& of = files()) {
  const std::string file = of.write("roots.pem", of.authority.certificate);
  return std::move(*tls::ClientContext::load(file, nts::kKeAlpn));
}

tls::CertificateTimes now() { return {.now = os::real_now()}; }

// A server that shakes hands and then says just what it is told.
class Scripted {
 public:
  explicit Scripted(const Files& of = files(), std::string_view alpn = nts::kKeAlpn)
      : context_(std::move(*tls::ServerContext::load(of.certificate, of.key, alpn))),
        tls_(context_) {}

  void exchange(ClientSession& client, std::span<const std::byte> answer = {}) {
    for (int turn = 0; turn < 6; ++turn) {
      tls_.feed(client.pending());
      client.sent(client.pending().size());
      std::array<std::byte, 4096> heard;
      if (tls_.read(heard) > 0 && !answer.empty()) tls_.write(answer);
      client.feed(tls::testing::drain(tls_));
    }
  }
  tls::ServerConnection& tls() { return tls_; }

 private:
  tls::ServerContext context_;
  tls::ServerConnection tls_;
};

struct WorkingMint : Mint {
  WorkingMint() : Mint(crypto::RandomStream::Seed{}) {
    nts::CookieKey key{.epoch = 7};
    key.key.resize(nts::kCookieKeySize);
    sealer.emplace(key);
  }
};

KeTrouble trouble(const ClientSession& client) {
  if (!client.outcome() || *client.outcome()) return KeTrouble::lost;
  EXPECT_FALSE(client.outcome()->error().why.empty());
  return client.outcome()->error().trouble;
}

TEST(ClientSession, AgreesWithOurServerOnKeysAndGetsEightCookies) {
  const auto server_context = files().context();
  const auto client_context = roots();
  for (const std::string name : {"localhost", "localhost.", "127.0.0.1"}) {
    WorkingMint mint;
    mint.ntp_port = 1123;
    Session server(server_context, mint);
    ClientSession client(client_context, name, now());
    for (int turn = 0; turn < 6 && !client.outcome(); ++turn) {
      server.feed(client.pending());
      client.sent(client.pending().size());
      client.feed(server.pending());
      server.sent(server.pending().size());
    }
    ASSERT_TRUE(client.outcome()) << name;
    ASSERT_TRUE(*client.outcome()) << client.outcome()->error().why;
    const nts::Established& got = **client.outcome();
    EXPECT_EQ(got.port, 1123);
    EXPECT_EQ(got.server, "");
    ASSERT_EQ(got.cookies.size(), 8u);
    for (const auto& cookie : got.cookies) {
      nts::SessionKeys opened;
      ASSERT_TRUE(mint.sealer->open(cookie, opened));
      EXPECT_TRUE(opened == got.keys);
    }
    EXPECT_GT(got.valid_until, os::real_now());
    EXPECT_EQ(got.subject, "CN = localhost");
  }
}

TEST(ClientSession, WorksWhereverTheStreamIsSplit) {
  const auto server_context = files().context();
  const auto client_context = roots();
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 100u, 1000u}) {
    WorkingMint mint;
    Session server(server_context, mint);
    ClientSession client(client_context, "localhost", now());
    for (int turn = 0; turn < 6 && !client.outcome(); ++turn) {
      server.feed(client.pending());
      client.sent(client.pending().size());
      const std::vector<std::byte> octets(server.pending().begin(), server.pending().end());
      server.sent(octets.size());
      for (std::size_t at = 0; at < octets.size(); at += piece) {
        client.feed(std::span(octets).subspan(at, std::min(piece, octets.size() - at)));
      }
    }
    EXPECT_TRUE(client.outcome() && *client.outcome()) << piece;
  }
}

TEST(ClientSession, BelievesNoCertificateOfAnotherAuthority) {
  const Files other;
  const auto client_context = roots(other);
  ClientSession client(client_context, "localhost", now());
  Scripted server;
  server.exchange(client);
  EXPECT_EQ(trouble(client), KeTrouble::untrusted);
  EXPECT_EQ(server.tls().state(), tls::Connection::State::failed) << "it is told by an alert";
}

TEST(ClientSession, BelievesNoCertificateForAnotherName) {
  const auto client_context = roots();
  for (const std::string name : {"localhost.example", "example", "127.0.0.2", "::1"}) {
    ClientSession client(client_context, name, now());
    Scripted server;
    server.exchange(client);
    EXPECT_EQ(trouble(client), KeTrouble::wrong_name) << name;
  }
}

TEST(ClientSession, JudgesTimesByTheTimeThatItIsTold) {
  const auto client_context = roots();
  const auto trouble_at = [&](const tls::CertificateTimes& times) {
    ClientSession client(client_context, "localhost", times);
    Scripted server;
    server.exchange(client);
    return client.outcome() ? std::optional(trouble(client)) : std::nullopt;
  };
  using std::chrono::hours;
  const RealTime today = os::real_now();
  const RealTime past = today - hours(24);
  const RealTime future = today + hours(24 * 366);
  EXPECT_EQ(trouble_at({.now = today}), std::nullopt);
  EXPECT_EQ(trouble_at({.now = past}), KeTrouble::early);
  EXPECT_EQ(trouble_at({.now = past, .tolerate_expired = true}), KeTrouble::early);
  EXPECT_EQ(trouble_at({.now = past, .tolerate_early = true}), std::nullopt);
  EXPECT_EQ(trouble_at({.now = future}), KeTrouble::expired);
  EXPECT_EQ(trouble_at({.now = future, .tolerate_early = true}), KeTrouble::expired);
  EXPECT_EQ(trouble_at({.now = future, .tolerate_expired = true}), std::nullopt);
}

// Whatever is said of the times, a wrong name and a wrong authority stay wrong.
TEST(ClientSession, ToleratesNothingButTimes) {
  const tls::CertificateTimes lenient{
      .now = RealTime{}, .tolerate_early = true, .tolerate_expired = true};
  const Files other;
  const auto wrong_roots = roots(other);
  const auto right_roots = roots();
  ClientSession untrusted(wrong_roots, "localhost", lenient);
  Scripted().exchange(untrusted);
  EXPECT_EQ(trouble(untrusted), KeTrouble::untrusted);
  ClientSession unnamed(right_roots, "other", lenient);
  Scripted().exchange(unnamed);
  EXPECT_EQ(trouble(unnamed), KeTrouble::wrong_name);
}

TEST(ClientSession, WantsAServerThatSpeaksNtsKe) {
  const auto client_context = roots();
  ClientSession client(client_context, "localhost", now());
  Scripted server(files(), "h2");
  server.exchange(client);
  EXPECT_EQ(trouble(client), KeTrouble::no_alpn);
}

TEST(ClientSession, WhatIsNotTlsIsSaidSo) {
  const auto client_context = roots();
  ClientSession client(client_context, "localhost", now());
  const std::string_view http = "HTTP/1.1 400 Bad Request\r\n\r\n";
  client.feed(std::as_bytes(std::span(http)));
  EXPECT_EQ(trouble(client), KeTrouble::tls);
  ClientSession ended(client_context, "localhost", now());
  ended.hear_end();
  EXPECT_EQ(trouble(ended), KeTrouble::tls);
}

// A24 of the table of attacks: names and ports that are none; and the other ways to refuse.
TEST(ClientSession, BadRecordsHaveTheirReasons) {
  struct Row {
    KeTrouble trouble;
    std::vector<int> octets;
  };
  const std::vector<int> good{0x80, 1, 0, 2, 0, 0, 0x80, 4, 0, 2, 0, 15};
  const std::vector<int> cookie{0, 5, 0, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6};
  const std::vector<int> end{0x80, 0, 0, 0};
  const auto client_context = roots();
  for (const auto& [wanted, octets] :
       std::vector<Row>{{KeTrouble::refused, {0x80, 2, 0, 2, 0, 1}},
                        {KeTrouble::refused, {0x80, 1, 0, 0}},
                        {KeTrouble::bad_server, {0, 6, 0, 3, 'a', '\n', 'b'}},
                        {KeTrouble::bad_server, {0, 6, 0, 2, 'a', 0}},
                        {KeTrouble::bad_server, {0, 6, 0, 0}},
                        {KeTrouble::bad_server, {0, 7, 0, 2, 0, 0}},
                        {KeTrouble::bad_server, {0, 7, 0, 1, 9}},
                        {KeTrouble::bad_answer, {0x80, 99, 0, 0}}}) {
    std::vector<std::byte> message;
    const bool whole = octets[1] == 1 || octets[1] == 2;
    for (const auto& part : {whole ? std::vector<int>{} : good, octets, cookie, end}) {
      for (const int octet : part) message.push_back(static_cast<std::byte>(octet));
    }
    ClientSession client(client_context, "localhost", now());
    Scripted server;
    server.exchange(client, message);
    EXPECT_EQ(trouble(client), wanted) << octets[1];
  }
}

TEST(ClientSession, AnAnswerWithoutAnEndIsNone) {
  const auto client_context = roots();
  ClientSession client(client_context, "localhost", now());
  Scripted server;
  const std::vector<std::byte> part{std::byte{0x80}, std::byte{1}, std::byte{0}};
  server.exchange(client, part);
  EXPECT_FALSE(client.outcome());
  client.hear_end();
  EXPECT_EQ(trouble(client), KeTrouble::bad_answer);
}

TEST(ClientContext, SaysWhatIsWrongWithAFileOfRoots) {
  const auto why = [](const std::string& file) {
    const auto loaded = tls::ClientContext::load(file, nts::kKeAlpn);
    return loaded ? std::string() : loaded.error();
  };
  EXPECT_NE(why("/nowhere/roots.pem").find("/nowhere/roots.pem"), std::string::npos);
  EXPECT_NE(why(files().write("empty.pem", "")).find("no certificate in PEM form"),
            std::string::npos);
  EXPECT_NE(why(files().key).find("no certificate in PEM form"), std::string::npos);
  const std::string text = files().authority.certificate;
  const std::string torn =
      text + text.substr(0, text.size() / 2) + "!\n-----END CERTIFICATE-----\n";
  EXPECT_NE(why(files().write("torn.pem", torn)).find("damaged"), std::string::npos);
}

}  // namespace
}  // namespace ntp::ke

#include "tls/server_connection.h"

#include <openssl/err.h>

#include <cstring>

#include "tls/test_client.h"

namespace ntp::tls {
namespace {

using testing::Client;
using testing::drain;
using testing::Files;

const Files& files() {
  static const Files kFiles;
  return kFiles;
}

// Carries octets to and fro until neither side has anything to say; whether both are through.
bool shake_hands(Client& client, ServerConnection& server) {
  bool through = false;
  for (int turn = 0; turn < 20; ++turn) {
    through = client.shake();
    const auto up = client.take();
    server.feed(up);
    const auto down = drain(server);
    client.give(down);
    if (up.empty() && down.empty()) break;
  }
  return through && server.state() == ServerConnection::State::open;
}

std::span<const std::byte> octets(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// The failure of a server that a client of this kind meets, and the alert that the client gets.
struct Refusal {
  ServerConnection::State state;
  Failure failure;
  int alert;
};
Refusal refuse(const Client::Options& options) {
  const auto context = files().context();
  ServerConnection server(context);
  Client client(options);
  ERR_clear_error();
  shake_hands(client, server);
  const int alert = ERR_GET_REASON(ERR_peek_last_error()) - SSL_AD_REASON_OFFSET;
  return {server.state(), server.failure(), alert};
}

TEST(ServerConnection, SpeaksTls13WithTheProtocolThatItWants) {
  const auto context = files().context();
  ServerConnection server(context);
  Client client({.alpn = {"h2", "ntske/1", "ntske/2"},
                 .trusted = files().authority.certificate,
                 .host = "localhost"});
  ASSERT_TRUE(shake_hands(client, server));
  EXPECT_EQ(SSL_version(client.get()), TLS1_3_VERSION);
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(client.get(), &chosen, &size);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(chosen), size), "ntske/1");
}

TEST(ServerConnection, IsTrustedByItsAddressToo) {
  const auto context = files().context();
  for (const auto& [host, good] : {std::pair{"127.0.0.1", true},
                                   {"127.0.0.2", false},
                                   {"localhost", true},
                                   {"elsewhere.example", false}}) {
    ServerConnection server(context);
    Client client({.trusted = files().authority.certificate, .host = host});
    EXPECT_EQ(shake_hands(client, server), good) << host;
    if (!good) {
      EXPECT_EQ(server.failure(), Failure::refused_by_it) << host;
    }
  }
}

TEST(ServerConnection, RefusesClientsWithoutTheProtocolByItsAlert) {
  for (const auto& [alpn, failure] : {std::pair{std::vector<std::string>{}, Failure::no_alpn},
                                      {{"http/1.1"}, Failure::wrong_alpn},
                                      {{"ntske/1.1"}, Failure::wrong_alpn},
                                      {{"ntske/"}, Failure::wrong_alpn},
                                      {{"NTSKE/1"}, Failure::wrong_alpn}}) {
    const auto refusal = refuse({.alpn = alpn});
    EXPECT_EQ(refusal.state, ServerConnection::State::failed);
    EXPECT_EQ(refusal.failure, failure);
    EXPECT_EQ(refusal.alert, SSL_AD_NO_APPLICATION_PROTOCOL);
  }
}

TEST(ServerConnection, RefusesOlderVersionsOfTls) {
  for (const int version : {TLS1_2_VERSION, TLS1_1_VERSION, TLS1_VERSION}) {
    for (const auto& alpn : {std::vector<std::string>{}, {"ntske/1"}}) {
      const auto refusal = refuse({.alpn = alpn, .most = version});
      EXPECT_EQ(refusal.state, ServerConnection::State::failed);
      EXPECT_EQ(refusal.failure, Failure::version);
    }
  }
}

TEST(ServerConnection, GivesNoSessionTicketsAndTakesNoEarlyData) {
  const auto context = files().context();
  ServerConnection server(context);
  Client client({});
  ASSERT_TRUE(shake_hands(client, server));
  ASSERT_TRUE(server.write(octets("x")));
  client.give(drain(server));
  char one = 0;
  ASSERT_EQ(SSL_read(client.get(), &one, 1), 1);  // a ticket would have come before it
  const SSL_SESSION* session = SSL_get_session(client.get());
  EXPECT_FALSE(SSL_SESSION_is_resumable(session));
  EXPECT_FALSE(SSL_SESSION_has_ticket(session));
  EXPECT_EQ(SSL_SESSION_get_max_early_data(session), 0u);
}

TEST(ServerConnection, ExportsTheKeysThatTheClientExports) {
  const auto context = files().context();
  ServerConnection server(context);
  Client client({});
  std::array<std::byte, 32> ours{};
  EXPECT_FALSE(server.export_key("EXPORTER-network-time-security", octets("early"), ours));
  ASSERT_TRUE(shake_hands(client, server));
  std::array<unsigned char, 32> theirs{};
  const std::string label = "EXPORTER-network-time-security";
  const unsigned char about[5] = {0, 0, 0, 15, 1};
  ASSERT_TRUE(server.export_key(label, std::as_bytes(std::span(about)), ours));
  ASSERT_EQ(SSL_export_keying_material(client.get(), theirs.data(), theirs.size(), label.data(),
                                       label.size(), about, sizeof about, 1),
            1);
  EXPECT_EQ(std::memcmp(ours.data(), theirs.data(), ours.size()), 0);
}

TEST(ServerConnection, CarriesOctetsBothWaysAndSaysGoodbye) {
  const auto context = files().context();
  ServerConnection server(context);
  Client client({});
  ASSERT_TRUE(shake_hands(client, server));
  SSL_write(client.get(), "question", 8);
  SSL_shutdown(client.get());
  server.feed(client.take());
  std::array<std::byte, 100> got{};
  ASSERT_EQ(server.read(got), 8u);
  EXPECT_EQ(std::memcmp(got.data(), "question", 8), 0);
  EXPECT_EQ(server.read(got), 0u);
  EXPECT_EQ(server.state(), ServerConnection::State::ended);
  ASSERT_TRUE(server.write(octets("answer")));  // half closed is not closed
  server.close();
  client.give(drain(server));
  char answer[10];
  ASSERT_EQ(SSL_read(client.get(), answer, sizeof answer), 6);
  EXPECT_EQ(SSL_read(client.get(), answer, sizeof answer), 0);
  EXPECT_TRUE(SSL_get_shutdown(client.get()) & SSL_RECEIVED_SHUTDOWN) << "close_notify";
}

// A flight that arrives in two parts, split at every octet.
TEST(ServerConnection, TakesEveryFlightInAnyPieces) {
  const auto context = files().context();
  std::size_t hello = 1;
  for (std::size_t split = 1; split < hello; ++split) {
    ServerConnection server(context);
    Client client({});
    client.shake();
    const auto first = client.take();
    hello = std::max(hello, first.size());
    server.feed(std::span(first).first(std::min(split, first.size())));
    EXPECT_EQ(server.pending(), 0u);
    server.feed(std::span(first).subspan(std::min(split, first.size())));
    client.give(drain(server));
    ASSERT_TRUE(client.shake()) << split;
    SSL_write(client.get(), "question", 8);
    const auto second = client.take();
    std::array<std::byte, 100> got{};
    server.feed(std::span(second).first(split % second.size()));
    const std::size_t early = server.read(got);
    server.feed(std::span(second).subspan(split % second.size()));
    EXPECT_EQ(early + server.read(std::span(got).subspan(early)), 8u) << split;
  }
}

TEST(ServerConnection, TakesAHandshakeOctetByOctet) {
  const auto context = files().context();
  ServerConnection server(context);
  Client client({});
  for (int turn = 0; turn < 4; ++turn) {
    client.shake();
    for (const std::byte octet : client.take()) server.feed(std::span(&octet, 1));
    client.give(drain(server));
  }
  EXPECT_EQ(server.state(), ServerConnection::State::open);
}

TEST(ServerConnection, FailsOnWhateverIsNotTls) {
  const auto context = files().context();
  using namespace std::string_view_literals;
  constexpr std::string_view kOthers[] = {"GET / HTTP/1.1\r\n\r\n"sv, "SSH-2.0-OpenSSH_9.2\r\n"sv,
                                          "\x16\x03\x01\xff\xff"sv,
                                          "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"sv};
  for (const std::string_view text : kOthers) {
    ServerConnection server(context);
    server.feed(octets(text));
    EXPECT_EQ(server.state(), ServerConnection::State::failed) << text;
    std::array<std::byte, 10> got{};
    EXPECT_EQ(server.read(got), 0u);
    EXPECT_FALSE(server.write(octets("x")));
    server.feed(octets(text));  // and does not mind more of it
    server.close();
  }
}

// One octet of each flight spoilt: never open, never a crash.
TEST(ServerConnection, SurvivesSpoiltOctets) {
  const auto context = files().context();
  for (std::size_t at = 0; at < 600; at += 3) {
    ServerConnection server(context);
    Client client({});
    client.shake();
    auto first = client.take();
    if (at < first.size()) first[at] ^= std::byte{0x41};
    server.feed(first);
    client.give(drain(server));
    const bool through = client.shake();
    auto second = client.take();
    const bool spoil_second = at >= first.size() && at - first.size() < second.size();
    if (spoil_second) second[at - first.size()] ^= std::byte{0x41};
    server.feed(second);
    if (through && (at < first.size() || spoil_second)) {
      EXPECT_NE(server.state(), ServerConnection::State::open) << at;
    }
  }
}

TEST(ServerConnection, TellsOfProgressOnlyWhereThereIsSome) {
  const auto context = files().context();
  ServerConnection server(context);
  Client client({});
  client.shake();
  const auto hello = client.take();
  const int before = server.progress();
  server.feed(std::span(hello).first(hello.size() - 1));
  const int partly = server.progress();
  EXPECT_EQ(partly, before);
  server.feed(std::span(hello).last(1));
  EXPECT_NE(server.progress(), partly);
}

}  // namespace
}  // namespace ntp::tls

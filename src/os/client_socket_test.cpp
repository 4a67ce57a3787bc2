#include "os/client_socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <optional>

#include "os/clocks.h"
#include "os/sockaddr.h"
#include "os/udp_socket.h"

namespace ntp::os {
namespace {

using namespace std::chrono_literals;

// A UDP socket on a loopback address, at a port of the kernel's choice; none without the family.
struct Peer {
  Fd fd{};
  Endpoint endpoint{};
};
std::optional<Peer> peer_on(const char* address) {
  const Endpoint wanted{.address = *parse_ip(address)};
  Peer peer;
  peer.fd = Fd(::socket(wanted.address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
  const SocketAddress at(wanted);
  if (!peer.fd || ::bind(peer.fd.get(), at.get(), at.size()) != 0) return std::nullopt;
  peer.endpoint = local_endpoint(peer.fd.get()).value();
  return peer;
}

bool readable(int fd, std::chrono::milliseconds patience) {
  pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&ready, 1, static_cast<int>(patience.count())) == 1;
}

template <std::size_t N>
std::array<std::byte, N> filled(int value) {
  std::array<std::byte, N> bytes;
  bytes.fill(static_cast<std::byte>(value));
  return bytes;
}

// Sends `bytes` from `peer` to the other end of `socket`.
void answer(const Peer& peer, const ClientSocket& socket, std::span<const std::byte> bytes) {
  const SocketAddress to(local_endpoint(socket.fd()).value());
  ASSERT_EQ(::sendto(peer.fd.get(), bytes.data(), bytes.size(), 0, to.get(), to.size()),
            static_cast<ssize_t>(bytes.size()));
}

TEST(ClientSocket, ExchangesADatagramAndStampsBothEnds) {
  for (const char* address : {"127.0.0.1", "::1"}) {
    const auto peer = peer_on(address);
    if (!peer) continue;  // no such family here
    const auto socket = ClientSocket::open(peer->endpoint);
    ASSERT_TRUE(socket.has_value()) << socket.error().text();
    const Instant before = now();
    const auto sent = socket->send(filled<48>(1));
    ASSERT_TRUE(sent.has_value());
    EXPECT_GE(sent->raw, before.raw);

    ASSERT_TRUE(readable(peer->fd.get(), 5s));
    answer(*peer, *socket, filled<48>(2));
    ASSERT_TRUE(readable(socket->fd(), 5s));
    std::array<std::byte, 100> buffer;
    const auto received = socket->receive(buffer);
    ASSERT_TRUE(received.has_value()) << received.error().text();
    EXPECT_EQ(received->size, 48u);
    EXPECT_EQ(buffer[47], std::byte{2});
    EXPECT_GE(received->at.raw, sent->raw);
    EXPECT_LE(received->at.raw, raw_now());
  }
}

// The kernel begins to stamp some time after the first socket of the machine has asked for it;
// until then a stamp is made at the reading. A server's own sockets keep it at it.
TEST(ClientSocket, TheStampIsOfTheArrivalNotOfTheReading) {
  const auto peer = peer_on("127.0.0.1");
  const auto socket = ClientSocket::open(peer->endpoint);
  ASSERT_TRUE(socket.has_value());
  std::array<std::byte, 48> buffer;
  bool seen = false;
  for (int attempt = 0; attempt < 200 && !seen; ++attempt) {
    answer(*peer, *socket, filled<48>(2));
    ASSERT_TRUE(readable(socket->fd(), 5s));
    const RawTime arrived_by = raw_now();
    while (raw_now() < arrived_by + 5ms) {
    }
    const auto received = socket->receive(buffer);
    ASSERT_TRUE(received.has_value());
    seen = received->at.raw <= arrived_by + 1ms;
  }
  EXPECT_TRUE(seen);
}

TEST(ClientSocket, SaysThatNothingIsThereAndCutsWhatIsTooLong) {
  const auto peer = peer_on("127.0.0.1");
  const auto socket = ClientSocket::open(peer->endpoint);
  ASSERT_TRUE(socket.has_value());
  std::array<std::byte, 10> buffer;
  const auto nothing = socket->receive(buffer);
  ASSERT_FALSE(nothing.has_value());
  EXPECT_EQ(nothing.error().code, EAGAIN);
  answer(*peer, *socket, filled<48>(2));
  ASSERT_TRUE(readable(socket->fd(), 5s));
  EXPECT_EQ(socket->receive(buffer)->size, 10u);
}

TEST(ClientSocket, HearsNobodyButTheServerThatItAsked) {
  const auto peer = peer_on("127.0.0.1");
  const auto stranger = peer_on("127.0.0.1");
  const auto socket = ClientSocket::open(peer->endpoint);
  ASSERT_TRUE(socket.has_value());
  answer(*stranger, *socket, filled<48>(3));
  answer(*peer, *socket, filled<48>(2));  // behind it in the same queue, if both got there
  ASSERT_TRUE(readable(socket->fd(), 5s));
  std::array<std::byte, 48> buffer;
  ASSERT_TRUE(socket->receive(buffer).has_value());
  EXPECT_EQ(buffer[0], std::byte{2});
  EXPECT_EQ(socket->receive(buffer).error().code, EAGAIN);
}

TEST(ClientSocket, HearsThatAPortIsClosed) {
  Endpoint closed;
  {
    const auto peer = peer_on("127.0.0.1");
    closed = peer->endpoint;
  }
  const auto socket = ClientSocket::open(closed);
  ASSERT_TRUE(socket.has_value());
  ASSERT_TRUE(socket->send(filled<48>(1)).has_value());
  ASSERT_TRUE(readable(socket->fd(), 5s));
  std::array<std::byte, 48> buffer;
  EXPECT_EQ(socket->receive(buffer).error().code, ECONNREFUSED);
}

TEST(ClientSocket, EveryQuestionHasAPortOfItsOwn) {
  const auto peer = peer_on("127.0.0.1");
  const auto one = ClientSocket::open(peer->endpoint);
  const auto other = ClientSocket::open(peer->endpoint);
  ASSERT_TRUE(one.has_value() && other.has_value());
  EXPECT_NE(local_endpoint(one->fd())->port, local_endpoint(other->fd())->port);
}

}  // namespace
}  // namespace ntp::os

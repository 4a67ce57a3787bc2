#include "ke/client.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <map>

#include "os/clocks.h"
#include "os/sockaddr.h"
#include "tls/test_client.h"

namespace ntp::ke {
namespace {

using tls::testing::Files;

// A listener at a port of the kernel's choice.
class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const os::SocketAddress any(Endpoint{.address = IpAddress::v4(127, 0, 0, 1)});
    EXPECT_EQ(::bind(fd_.get(), any.get(), any.size()), 0);
    EXPECT_EQ(::listen(fd_.get(), 4), 0);
    os::SocketAddress bound;
    EXPECT_EQ(::getsockname(fd_.get(), bound.get(), bound.size_for_kernel()), 0);
    address = bound.endpoint();
  }
  void close() { fd_.reset(); }
  Endpoint address{};

 private:
  os::Fd fd_;
};

tls::ClientContext some_roots(const Files& files) {
  return std::move(
      *tls::ClientContext::load(files.write("r.pem", files.authority.certificate), nts::kKeAlpn));
}

nts::KeTrouble outcome_of(Talk& talk, RawTime now) {
  for (int turn = 0; turn < 50 && !talk.outcome(); ++turn) {
    pollfd watched{.fd = talk.fd(), .events = talk.events(), .revents = 0};
    ::poll(&watched, 1, 100);
    talk.proceed(now);
  }
  if (!talk.outcome() || *talk.outcome()) return nts::KeTrouble::lost;
  return talk.outcome()->error().trouble;
}

TEST(Talk, WithAClosedPortIsUnreachable) {
  const Files files;
  const auto context = some_roots(files);
  Listener listener;
  listener.close();
  Talk talk({.server = listener.address, .name = "localhost"}, context, os::raw_now());
  EXPECT_EQ(outcome_of(talk, os::raw_now()), nts::KeTrouble::unreachable);
}

TEST(Talk, EndsAtItsDeadlineWithWhoSaysNothing) {
  const Files files;
  const auto context = some_roots(files);
  Listener silent;
  const RawTime now = os::raw_now();
  Talk talk({.server = silent.address, .name = "localhost"}, context, now);
  talk.proceed(now + kClientDeadline - std::chrono::milliseconds(1));
  EXPECT_FALSE(talk.outcome());
  talk.proceed(now + kClientDeadline);
  ASSERT_TRUE(talk.outcome());
  EXPECT_EQ(talk.outcome()->error().trouble, nts::KeTrouble::too_slow);
}

// The program of the process, over its channel.
TEST(Client, WithoutRootsSaysSoAndEndsWithTheChannel) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
  const os::Fd theirs(pair[1]);
  os::Fd ours(pair[0]);
  const Files files;
  Listener closed;
  closed.close();
  const ClientPlan plan{.roots = {files.folder / "none.pem"}};
  const auto ask = [&](std::uint32_t number, std::uint16_t roots) {
    const auto bytes = encode_client(
        Wish{.number = number, .server = closed.address, .name = "localhost", .roots = roots});
    ASSERT_EQ(::send(ours.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  };
  ask(5, 0);
  ::shutdown(ours.get(), SHUT_WR);
  Client client(plan, theirs.get());
  ASSERT_TRUE(client.prepare());
  client.run();
  std::map<std::uint32_t, nts::KeTrouble> troubles;
  ClientMessageBytes bytes;
  while (::recv(ours.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    const auto message = decode_client(bytes);
    if (!message) continue;  // Started
    const auto& answered = std::get<Answered>(*message);
    troubles[answered.number] = answered.outcome.error().trouble;
  }
  EXPECT_EQ(troubles[5], nts::KeTrouble::no_roots);
}

}  // namespace
}  // namespace ntp::ke

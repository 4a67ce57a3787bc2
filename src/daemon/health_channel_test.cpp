#include "daemon/health_channel.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

#include "os/unix_socket.h"

namespace ntp::daemon {
namespace {

using std::chrono::milliseconds;

TEST(HealthQuestion, ComesBackFromItsLine) {
  for (const HealthQuestion& question :
       {HealthQuestion{milliseconds(1500), {}}, HealthQuestion{milliseconds(1), 0.1},
        HealthQuestion{milliseconds(60'000), 1e-6}}) {
    const auto again = parse_question(to_line(question));
    ASSERT_TRUE(again.has_value()) << to_line(question);
    EXPECT_EQ(again->timeout, question.timeout);
    EXPECT_EQ(again->max_error_s.has_value(), question.max_error_s.has_value());
    if (question.max_error_s) {
      EXPECT_NEAR(*again->max_error_s, *question.max_error_s, 1e-9);
    }
  }
}

TEST(HealthQuestion, GarbageIsNoQuestionAndTheWaitIsBounded) {
  for (const char* line : {"", "health", "health x", "health 0", "health -5", "health 5 x",
                           "health 5 -", "health 5 1e999", "health 5 0.1 0.2", "health 5 0.1x",
                           "GET / HTTP/1.1", "health 99999999999999999999"}) {
    EXPECT_FALSE(parse_question(line).has_value()) << line;
  }
  EXPECT_EQ(parse_question("health 9999999")->timeout, milliseconds(60'000));
}

TEST(HealthChannel, ClosesACallerThatHasFallenAsleep) {
  char folder[] = "/tmp/health-channel-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/health.sock";
  auto listener = os::listen_unix(path);
  ASSERT_TRUE(listener) << listener.error().text();
  RawTime now{std::chrono::seconds(1000)};
  os::PollLoop loop([&now] { return now; });
  {
    HealthChannel channel(loop, std::move(*listener), path,
                          {.health = [](const HealthQuestion&, const HealthChannel::Answer&) {},
                           .status = [] { return "{}"; }});
    const os::Fd caller(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    ASSERT_EQ(::connect(caller.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    loop.run_once(milliseconds(0));
    char octet = 0;
    now += std::chrono::seconds(60);
    loop.run_once(milliseconds(0));
    EXPECT_EQ(::recv(caller.get(), &octet, 1, 0), -1) << "the longest question may still come";
    now += std::chrono::seconds(10);
    loop.run_once(milliseconds(0));
    EXPECT_EQ(::recv(caller.get(), &octet, 1, 0), 0);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ntp::daemon

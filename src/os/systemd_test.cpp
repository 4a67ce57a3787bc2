#include "os/systemd.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

#include "os/fd.h"

namespace ntp::os {
namespace {

// A variable of the environment while the test runs.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

const std::string kUs = std::to_string(::getpid());
const std::string kAnother = std::to_string(::getppid());

std::string told(const Fd& fd) {
  char buffer[256];
  const ssize_t size = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  return size < 0 ? "nothing" : std::string(buffer, static_cast<std::size_t>(size));
}

// Binds a datagram socket to `name`, of which a leading '@' stands for NUL.
Fd bound(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof address.sun_path - 1);
  if (name[0] == '@') address.sun_path[0] = '\0';
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0) << name;
  return fd;
}

TEST(NotifySystemd, SpeaksToASocketWithAPathAndToAnAbstractOne) {
  const std::string path = testing::TempDir() + "notify-" + kUs;
  for (const std::string& name : {path, "@ntp-test-" + kUs}) {
    const Fd fd = bound(name);
    const Variable socket("NOTIFY_SOCKET", name);
    notify_systemd("READY=1\nSTATUS=x");
    EXPECT_EQ(told(fd), "READY=1\nSTATUS=x");
  }
  ::unlink(path.c_str());
}

TEST(NotifySystemd, IsSilentWhereNobodyListens) {
  notify_systemd("READY=1");
  for (const std::string& name :
       {std::string(), std::string("relative"), std::string("/no/such"), std::string(500, '/')}) {
    const Variable socket("NOTIFY_SOCKET", name);
    notify_systemd("READY=1");
  }
}

TEST(ReloadingMessage, HasAStampThatGrows) {
  const std::string_view start = "RELOADING=1\nMONOTONIC_USEC=";
  const auto first = reloading_message();
  const auto second = reloading_message();
  ASSERT_TRUE(first.starts_with(start)) << first;
  EXPECT_LE(std::stoll(first.substr(start.size())), std::stoll(second.substr(start.size())));
}

TEST(Watchdog, IsFedTwiceAsOftenAsItAsksFor) {
  EXPECT_FALSE(watchdog_interval());
  const Variable interval("WATCHDOG_USEC", "3000000");
  EXPECT_EQ(watchdog_interval(), std::chrono::microseconds(1'500'000));
  {
    const Variable pid("WATCHDOG_PID", kUs);
    EXPECT_EQ(watchdog_interval(), std::chrono::microseconds(1'500'000));
  }
  const Variable pid("WATCHDOG_PID", kAnother);
  EXPECT_FALSE(watchdog_interval()) << "another process is meant";
}

TEST(Watchdog, OfANonsensicalIntervalIsNone) {
  for (const char* text : {"", "0", "-5", "1s", "x"}) {
    const Variable interval("WATCHDOG_USEC", text);
    EXPECT_FALSE(watchdog_interval()) << text;
  }
}

TEST(ListenFds, AreTakenOnce) {
  const Variable count("LISTEN_FDS", "2");
  const Variable pid("LISTEN_PID", kUs);
  const Variable names("LISTEN_FDNAMES", "a:b");
  EXPECT_EQ(take_listen_fds(), (std::vector<int>{3, 4}));
  EXPECT_EQ(std::getenv("LISTEN_FDS"), nullptr);
  EXPECT_EQ(std::getenv("LISTEN_FDNAMES"), nullptr);
  EXPECT_TRUE(take_listen_fds().empty());
}

TEST(ListenFds, OfAnotherProcessAreNotOurs) {
  EXPECT_TRUE(take_listen_fds().empty());
  const Variable count("LISTEN_FDS", "2");
  EXPECT_TRUE(take_listen_fds().empty()) << "nobody is named";
  const Variable again("LISTEN_FDS", "2");
  const Variable pid("LISTEN_PID", kAnother);
  EXPECT_TRUE(take_listen_fds().empty());
  EXPECT_EQ(std::getenv("LISTEN_PID"), nullptr) << "nor those of a program that we start";
}

}  // namespace
}  // namespace ntp::os

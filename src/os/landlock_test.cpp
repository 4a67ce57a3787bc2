#include "os/landlock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "os/text_file.h"
#include "os/unix_socket.h"

namespace ntp::os {
namespace {

namespace fs = std::filesystem;

constexpr int kNoLandlock = 77;

class Landlock : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "landlock_test.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    for (const char* folder : {"config", "state", "run", "other"}) {
      fs::create_directory(top_ / folder);
      std::ofstream(top_ / folder / "file") << "text";
    }
  }
  void TearDown() override { fs::remove_all(top_); }

  // Whether `act` says true in a process that has shut itself in.
  void expect_inside(const std::function<bool(int abi)>& act, bool tcp_listens = true) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      const auto abi = restrict_reach({.read = {top_ / "config", top_ / "not there"},
                                       .replace = {top_ / "state"},
                                       .sockets = {top_ / "run"},
                                       .tcp_to = {53},
                                       .tcp_listens = tcp_listens});
      if (!abi) ::_exit(kNoLandlock);
      ::_exit(act(*abi) ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == kNoLandlock) GTEST_SKIP() << "no Landlock here";
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }

  std::string path(const char* below) const { return top_ / below; }
  static int code(const std::expected<std::string, Error>& text) {
    return text ? 0 : text.error().code;
  }
  static int code(const std::expected<void, Error>& done) { return done ? 0 : done.error().code; }

  fs::path top_;
};

TEST_F(Landlock, FilesAreReadWhereTheyMayBeAndNowhereElse) {
  expect_inside([&](int) {
    return code(read_text_file(path("config/file"), 100)) == 0 &&
           code(read_text_file(path("state/file"), 100)) == 0 &&
           code(read_text_file(path("other/file"), 100)) == EACCES &&
           code(read_text_file("/etc/passwd", 10'000)) == EACCES;
  });
}

TEST_F(Landlock, FilesAreWrittenInTheStateDirectoryAlone) {
  expect_inside([&](int) {
    return code(replace_text_file(path("state/file"), "new")) == 0 &&
           code(replace_text_file(path("state/another"), "new")) == 0 &&
           code(replace_text_file(path("config/file"), "new")) == EACCES &&
           code(replace_text_file(path("run/another"), "new")) == EACCES &&
           ::unlink(path("config/file").c_str()) != 0 &&
           ::mkdir(path("state/d").c_str(), 0700) != 0;
  });
}

TEST_F(Landlock, AFileThatIsRenamedIntoPlaceByOthersIsRead) {
  fs::create_directory(top_ / "config/v1");
  fs::create_directory(top_ / "config/v2");
  std::ofstream(top_ / "config/v2/file") << "second";
  fs::create_symlink("v1", top_ / "config/current");
  int ready[2];
  int swapped[2];
  ASSERT_EQ(::pipe(ready) | ::pipe(swapped), 0);
  std::error_code none;
  const pid_t other = ::fork();
  if (other == 0) {
    char octet = 0;
    (void)!::read(ready[0], &octet, 1);
    fs::create_symlink("v2", top_ / "config/next", none);
    fs::rename(top_ / "config/next", top_ / "config/current", none);
    (void)!::write(swapped[1], "", 1);
    ::_exit(0);
  }
  expect_inside([&](int) {
    char octet = 0;
    (void)!::write(ready[1], "", 1);
    (void)!::read(swapped[0], &octet, 1);
    return read_text_file(path("config/current/file"), 100).value_or("") == "second";
  });
  ::waitpid(other, nullptr, 0);
}

TEST_F(Landlock, SocketsAreMadeWhereTheyMayBe) {
  expect_inside([&](int) {
    const auto good = listen_unix(path("run/socket"));
    const auto bad = listen_unix(path("other/socket"));
    return good.has_value() && !bad && bad.error().code == EACCES &&
           ::unlink(path("run/socket").c_str()) == 0;
  });
}

TEST_F(Landlock, TcpGoesOutToTheNamedPortsAlone) {
  expect_inside([&](int abi) {
    if (abi < 4) return true;
    const auto connect_to = [](std::uint16_t port) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
      return result == 0 ? 0 : errno;
    };
    return connect_to(9) == EACCES && connect_to(53) != EACCES;
  });
}

TEST_F(Landlock, NoPortIsBoundWhereNothingIsToListen) {
  const auto bind_any = [](int abi) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int result = ::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at);
    return abi < 4 ? 0 : result == 0 ? 0 : errno;
  };
  expect_inside([&](int abi) { return bind_any(abi) == 0; }, true);
  expect_inside([&](int abi) { return bind_any(abi) == (abi < 4 ? 0 : EACCES); }, false);
}

}  // namespace
}  // namespace ntp::os

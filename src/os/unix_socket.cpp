#include "os/unix_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "os/clocks.h"

namespace ntp::os {
namespace {

std::expected<sockaddr_un, Error> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return std::unexpected(Error{"use the socket path " + path, ENAMETOOLONG});
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

std::expected<Fd, Error> connect_unix(const std::string& path) {
  const auto address = unix_address(path);
  if (!address) return std::unexpected(address.error());
  // A full queue of a server that has stopped is an error here and now, not a reason to wait.
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return std::unexpected(Error::last("open a Unix socket"));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return std::unexpected(Error::last("connect to " + path));
  }
  return fd;
}

constexpr uid_t kNobodyKnown = static_cast<uid_t>(-1);

// Of a connected socket whose other end listens: who called listen(2).
uid_t uid_of_peer(int fd) noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  return known ? peer.uid : kNobodyKnown;
}

// Who alone can have put `path` where it is, if there is such a one.
uid_t owner_of_place(const std::string& path) noexcept {
  const std::string place = std::filesystem::path(path).parent_path();
  struct stat status{};
  const bool closed = ::stat(place.empty() ? "." : place.c_str(), &status) == 0 &&
                      (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  return closed ? status.st_uid : 0;
}

}  // namespace

std::vector<std::string> health_socket_paths(const std::string& configured) {
  if (!configured.empty()) return {configured};
  std::vector<std::string> paths;
  if (const char* runtime = std::getenv("RUNTIME_DIRECTORY")) {
    const std::string_view first = runtime;  // systemd separates several by colons
    paths.push_back(std::string(first.substr(0, first.find(':'))) + "/health.sock");
  }
  paths.push_back("/run/ntp-server/health.sock");
  paths.push_back("/dev/shm/ntp-server.health.sock");
  return paths;
}

std::expected<Fd, Error> listen_unix(const std::string& path) {
  const auto address = unix_address(path);
  if (!address) return std::unexpected(address.error());
  const auto living = connect_unix(path);
  if (living || living.error().code == EAGAIN) {
    return std::unexpected(Error{"listen on " + path, EADDRINUSE});
  }
  struct stat old{};
  if (::lstat(path.c_str(), &old) == 0) {
    if (!S_ISSOCK(old.st_mode)) {
      return std::unexpected(Error{"listen on " + path + ", which is no socket", EEXIST});
    }
    ::unlink(path.c_str());
  }
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return std::unexpected(Error::last("open a Unix socket"));
  const mode_t before = ::umask(0111);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
  const int code = errno;
  ::umask(before);
  if (bound != 0) return std::unexpected(Error{"listen on " + path, code});
  if (::listen(fd.get(), 8) != 0) return std::unexpected(Error::last("listen on " + path));
  return fd;
}

std::string why_peer_may_not_ask(int fd) {
  const uid_t uid = uid_of_peer(fd);
  if (uid == 0 || uid == ::geteuid()) return {};
  return "uid " + std::to_string(uid) + " may not ask; root and uid " +
         std::to_string(::geteuid()) + " may";
}

std::expected<std::string, Error> ask_unix(const std::string& path, std::string_view line,
                                           std::chrono::milliseconds timeout,
                                           std::uint32_t server_uid) {
  auto fd = connect_unix(path);
  if (!fd) return std::unexpected(fd.error());
  const uid_t uid = uid_of_peer(fd->get());
  if (uid != 0 && uid != ::geteuid() && uid != server_uid && uid != owner_of_place(path)) {
    return std::unexpected(
        Error{"trust " + path + ", where uid " + std::to_string(uid) + " answers", EPERM});
  }
  const std::string request = std::string(line) + "\n";
  // Who is refused is told so before he asks, and finds the other end closed.
  if (::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(request.size()) &&
      errno != EPIPE) {
    return std::unexpected(Error::last("ask " + path));
  }
  const RawTime deadline = raw_now() + timeout;
  std::string answer;
  while (!answer.ends_with('\n')) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - raw_now()).count();
    pollfd ready{.fd = fd->get(), .events = POLLIN, .revents = 0};
    const int count = left > 0 ? ::poll(&ready, 1, static_cast<int>(left)) : 0;
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::unexpected(Error{"wait for an answer on " + path, ETIMEDOUT});
    char buffer[512];
    const ssize_t size = ::recv(fd->get(), buffer, sizeof buffer, 0);
    if (size <= 0) return std::unexpected(Error{"read the answer on " + path, ECONNRESET});
    answer.append(buffer, static_cast<std::size_t>(size));
  }
  answer.pop_back();
  return answer;
}

}  // namespace ntp::os

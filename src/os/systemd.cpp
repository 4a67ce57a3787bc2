#include "os/systemd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "os/fd.h"

namespace ntp::os {
namespace {

constexpr int kFirstListenFd = 3;  // SD_LISTEN_FDS_START

std::optional<long long> number(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  char* end = nullptr;
  const long long value = std::strtoll(text, &end, 10);
  if (end == text || *end != '\0') return std::nullopt;
  return value;
}

bool meant_for_us(const char* variable) {
  const auto pid = number(variable);
  return !pid || *pid == ::getpid();
}

}  // namespace

void notify_systemd(std::string_view message) noexcept {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  ::sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

std::string reloading_message() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const long long us = now.tv_sec * 1'000'000ll + now.tv_nsec / 1000;
  return "RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us);
}

std::optional<std::chrono::microseconds> watchdog_interval() {
  const auto us = number("WATCHDOG_USEC");
  if (!us || *us <= 0 || !meant_for_us("WATCHDOG_PID")) return std::nullopt;
  return std::chrono::microseconds(*us / 2);
}

std::vector<int> take_listen_fds() {
  const auto count = number("LISTEN_FDS");
  const bool ours = number("LISTEN_PID").has_value() && meant_for_us("LISTEN_PID");
  ::unsetenv("LISTEN_FDS");
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDNAMES");
  std::vector<int> fds;
  if (!count || !ours) return fds;
  for (int i = 0; i < *count; ++i) {
    ::fcntl(kFirstListenFd + i, F_SETFD, FD_CLOEXEC);
    fds.push_back(kFirstListenFd + i);
  }
  return fds;
}

}  // namespace ntp::os

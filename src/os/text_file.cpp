#include "os/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "os/fd.h"

namespace ntp::os {
namespace {

// A signal may interrupt what waits for a file server.
Fd open_file(const std::string& path, int flags, mode_t mode = 0) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags, mode);
  } while (fd < 0 && errno == EINTR);
  return Fd(fd);
}

std::expected<void, Error> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return std::unexpected(Error{"write " + path, size < 0 ? errno : ENOSPC});
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  return {};
}

}  // namespace

std::expected<std::string, Error> read_text_file(const std::string& path, std::size_t most) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  const Fd fd = open_file(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (!fd) return std::unexpected(Error::last("open " + path));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return std::unexpected(Error::last("read " + path));
  if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode)) {  // /dev/null stands for no text
    return std::unexpected(Error{"read " + path, S_ISDIR(status.st_mode) ? EISDIR : EINVAL});
  }
  std::string text;
  std::array<char, 16384> piece{};
  while (true) {
    const ssize_t size = ::read(fd.get(), piece.data(), piece.size());
    if (size == 0) return text;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(Error::last("read " + path));
    text.append(piece.data(), static_cast<std::size_t>(size));
    if (text.size() > most) return std::unexpected(Error{"read " + path, EFBIG});
  }
}

std::expected<void, Error> replace_text_file(const std::string& path, std::string_view text) {
  const std::string draft = path + ".new";
  const Fd fd = open_file(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (!fd) return std::unexpected(Error::last("write " + draft));
  if (const auto written = write_all(fd.get(), text, draft); !written) return written;
  if (::rename(draft.c_str(), path.c_str()) != 0) {
    return std::unexpected(Error::last("replace " + path));
  }
  return {};
}

bool is_regular_file(int fd) noexcept {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace ntp::os

#include "os/secret_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "os/error.h"
#include "os/fd.h"

namespace ntp::os {
namespace {

constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

// Its mode, and those of the folders above it, let us read it.
bool may_read_by_mode(const std::string& path) noexcept {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return false;
  const auto needed = status.st_uid == ::geteuid() ? S_IRUSR : S_IROTH;
  return (status.st_mode & needed) != 0;  // root has given up the capability to read it anyway
}

std::string advice(int code) {
  switch (code) {
    case ENOENT:
      return "; is the path right, and mounted where this is a container?";
    case EACCES:
      return fmt::format("; make it, and the folders above it, readable for uid {}", ::geteuid());
    default:
      return "";
  }
}

std::string failed(std::string doing, int code) {
  return Error{std::move(doing), code}.text() + advice(code);
}

std::string cannot_open(const std::string& path, int code) {
  if (code != EACCES || !may_read_by_mode(path)) return failed("open " + path, code);
  return Error{"open " + path, code}.text() +
         "; its mode lets us, but the sandbox has no access to where it lies: a restart is needed";
}

// Where a mode cannot be changed, or is the orchestrator's own business.
bool is_handed_out(int fd) noexcept {
  struct statfs mount{};
  if (::fstatfs(fd, &mount) != 0) return false;
  return (static_cast<unsigned long>(mount.f_flags) & ST_RDONLY) != 0 ||
         static_cast<unsigned long>(mount.f_type) == TMPFS_MAGIC ||
         static_cast<unsigned long>(mount.f_type) == RAMFS_MAGIC;
}

std::expected<std::string, std::string> judge_mode(const std::string& path, int fd,
                                                   const struct stat& status) {
  if ((status.st_mode & kOthers) == 0) return {};
  const bool ours = status.st_uid == ::geteuid();
  const unsigned mode = status.st_mode & 07777u;
  if (ours && !is_handed_out(fd)) {
    return std::unexpected(fmt::format(
        "{}: others may read or change it (mode {:04o}); run `chmod 600 {}`", path, mode, path));
  }
  // Root's file for a group that we belong to is how a service is given its key.
  if (!ours && (status.st_mode & (S_IRWXO | S_IWGRP)) == 0) return {};
  if (is_handed_out(fd) && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 && !ours) return {};
  return fmt::format("{}: others may read it (mode {:04o})", path, mode);
}

std::expected<std::string, std::string> read_all(const std::string& path, int fd,
                                                 std::size_t most) {
  std::string text(most + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(fd, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      wipe(text);
      return std::unexpected(failed("read " + path, errno));
    }
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > most) {
    wipe(text);
    return std::unexpected(failed("read " + path, EFBIG));
  }
  text.resize(size);
  return text;
}

std::expected<void, std::string> write_all(const std::string& path, int fd,
                                           const std::string& text) {
  for (std::size_t size = 0; size < text.size();) {
    const ssize_t count = ::write(fd, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::unexpected(failed("write " + path, count < 0 ? errno : ENOSPC));
    size += static_cast<std::size_t>(count);
  }
  if (::fsync(fd) != 0) return std::unexpected(failed("write " + path + " to the disk", errno));
  return {};
}

void sync_folder(const std::string& path) noexcept {
  const std::string folder = std::filesystem::path(path).parent_path();
  const Fd fd(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) ::fsync(fd.get());
}

}  // namespace

void wipe(std::string& text) noexcept { ::explicit_bzero(text.data(), text.capacity()); }

std::expected<SecretText, std::string> read_secret_file(const std::string& path, std::size_t most,
                                                        Readers readers) {
  // Without waiting: a pipe in its place must not stop the program.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return std::unexpected(cannot_open(path, errno));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return std::unexpected(failed("look at " + path, errno));
  if (!S_ISREG(status.st_mode)) return std::unexpected(path + ": it is not a file");
  auto warning = readers == Readers::anybody ? std::expected<std::string, std::string>("")
                                             : judge_mode(path, fd.get(), status);
  if (!warning) return std::unexpected(std::move(warning.error()));
  auto text = read_all(path, fd.get(), most);
  if (!text) return std::unexpected(std::move(text.error()));
  return SecretText{.text = std::move(*text), .warning = std::move(*warning)};
}

std::expected<void, std::string> create_secret_file(const std::string& path,
                                                    const std::string& text, std::uint32_t mode) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return std::unexpected(failed("create " + path, errno));
  auto written = write_all(path, fd.get(), text);
  if (!written) {
    ::unlink(path.c_str());
    return written;
  }
  sync_folder(path);
  return {};
}

std::expected<void, std::string> replace_secret_file(const std::string& path,
                                                     const std::string& text, std::uint32_t mode) {
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());  // of a predecessor that was killed
  if (auto created = create_secret_file(beside, text, mode); !created) return created;
  if (::rename(beside.c_str(), path.c_str()) != 0) {
    const int code = errno;
    ::unlink(beside.c_str());
    return std::unexpected(failed("rename " + beside + " to " + path, code));
  }
  sync_folder(path);
  return {};
}

FileMark file_mark(const std::string& path) noexcept {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {};
  const auto ns = [](const timespec& t) { return t.tv_sec * 1'000'000'000 + t.tv_nsec; };
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = status.st_size,
          .modified_ns = ns(status.st_mtim),
          .changed_ns = ns(status.st_ctim)};
}

}  // namespace ntp::os

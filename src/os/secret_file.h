// Files with keys in them: read as a whole, after a look at who else may read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>

namespace ntp::os {

// Overwrites what the text holds, in a way that no compiler leaves out.
void wipe(std::string& text) noexcept;

struct SecretText {
  std::string text{};     // the caller wipes it
  std::string warning{};  // one line, or empty
};

// A file of our own that others may read or write is refused: whoever made it can close it. One of
// another owner, or on a mount that is read-only or in memory (Docker's and Kubernetes' secrets),
// is read all the same; there `warning` says so. The error says which file, what is wrong and what
// to do.
// With Readers::anybody the text is no secret (a certificate): modes do not matter.
enum class Readers : std::uint8_t { ourselves, anybody };
std::expected<SecretText, std::string> read_secret_file(const std::string& path, std::size_t most,
                                                        Readers readers = Readers::ourselves);

// Creates `path`, which must not exist, for our eyes only (0600), and waits until it is on the
// disk.
std::expected<void, std::string> create_secret_file(const std::string& path,
                                                    const std::string& text,
                                                    std::uint32_t mode = 0600);
// The same in place of whatever stands there: the old text or the new one, never a part, even over
// a loss of power.
std::expected<void, std::string> replace_secret_file(const std::string& path,
                                                     const std::string& text,
                                                     std::uint32_t mode = 0600);

// What tells one state of a file from another, symbolic links followed: writing, renaming over it
// and swapping a link each change it. All zero where there is none.
struct FileMark {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;

  friend bool operator==(const FileMark&, const FileMark&) = default;
};
FileMark file_mark(const std::string& path) noexcept;

}  // namespace ntp::os

#include "os/secret_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace ntp::os {
namespace {

class SecretFile : public ::testing::Test {
 protected:
  SecretFile() {
    std::string pattern = std::filesystem::temp_directory_path() / "ntp-secret-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~SecretFile() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text, mode_t mode) const {
    std::ofstream(folder_ / name) << text;
    ::chmod((folder_ / name).c_str(), mode);
    return folder_ / name;
  }

  std::filesystem::path folder_;
};

mode_t mode_of(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

TEST_F(SecretFile, IsReadWhenOnlyWeMay) {
  for (const mode_t mode : {0600, 0400}) {
    const auto text = read_secret_file(write("a", "secret", mode), 100);
    ASSERT_TRUE(text) << text.error();
    EXPECT_EQ(text->text, "secret");
    EXPECT_EQ(text->warning, "");
    std::filesystem::remove(folder_ / "a");
  }
}

TEST_F(SecretFile, OfOurOwnIsRefusedWhenOthersMay) {
  for (const mode_t mode : {0640, 0604, 0644, 0620, 0666}) {
    const auto text = read_secret_file(write("a", "secret", mode), 100);
    ASSERT_FALSE(text) << std::oct << mode;
    EXPECT_NE(text.error().find("chmod 600"), std::string::npos) << text.error();
    EXPECT_EQ(text.error().find("secret\n"), std::string::npos);
  }
}

TEST_F(SecretFile, HandedOutInMemoryIsReadWithAWarning) {  // as Docker's secrets are
  const std::string path = "/dev/shm/ntp-secret-test-" + std::to_string(::getpid());
  std::ofstream(path) << "secret";
  ::chmod(path.c_str(), 0444);
  const auto text = read_secret_file(path, 100);
  ::unlink(path.c_str());
  ASSERT_TRUE(text) << text.error();
  EXPECT_NE(text->warning.find("0444"), std::string::npos);
}

TEST_F(SecretFile, IsNeitherTooLongNorSomethingElse) {
  EXPECT_TRUE(read_secret_file(write("a", std::string(100, 'x'), 0600), 100));
  EXPECT_FALSE(read_secret_file(write("b", std::string(101, 'x'), 0600), 100));
  EXPECT_FALSE(read_secret_file(folder_, 100));
  EXPECT_FALSE(read_secret_file(folder_ / "none", 100));
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_FALSE(read_secret_file(folder_ / "pipe", 100)) << "and does not wait for a writer";
}

TEST_F(SecretFile, IsCreatedForUsAloneAndNeverOverAnother) {
  const std::string path = folder_ / "a";
  const mode_t before = ::umask(0);
  ASSERT_TRUE(create_secret_file(path, "one"));
  ::umask(before);
  EXPECT_EQ(mode_of(path), 0600u);
  EXPECT_FALSE(create_secret_file(path, "two"));
  ASSERT_EQ(::symlink("elsewhere", (folder_ / "link").c_str()), 0);
  EXPECT_FALSE(create_secret_file(folder_ / "link", "two"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "elsewhere"));
  EXPECT_EQ(read_secret_file(path, 100)->text, "one");
}

TEST_F(SecretFile, IsReplacedAsAWhole) {
  const std::string path = folder_ / "a";
  ASSERT_TRUE(replace_secret_file(path, "one"));
  ASSERT_TRUE(create_secret_file(path + ".new", "of one that was killed"));
  ASSERT_TRUE(replace_secret_file(path, "two"));
  EXPECT_EQ(read_secret_file(path, 100)->text, "two");
  EXPECT_EQ(mode_of(path), 0600u);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  EXPECT_FALSE(replace_secret_file(folder_ / "none" / "a", "x"));
}

TEST_F(SecretFile, MarksTellEveryKindOfChange) {
  const std::string path = write("a", "one", 0600);
  const FileMark first = file_mark(path);
  EXPECT_EQ(file_mark(path), first);
  EXPECT_NE(first, FileMark{});
  ASSERT_TRUE(replace_secret_file(path, "one"));
  EXPECT_NE(file_mark(path), first);
  std::filesystem::create_directory(folder_ / "v1");
  std::filesystem::create_directory(folder_ / "v2");
  write("v1/key", "x", 0600);
  write("v2/key", "x", 0600);
  std::filesystem::create_directory_symlink("v1", folder_ / "now");  // Kubernetes' way
  const FileMark v1 = file_mark(folder_ / "now" / "key");
  std::filesystem::create_directory_symlink("v2", folder_ / "next");
  std::filesystem::rename(folder_ / "next", folder_ / "now");
  EXPECT_NE(file_mark(folder_ / "now" / "key"), v1);
  EXPECT_EQ(file_mark(folder_ / "none"), FileMark{});
}

}  // namespace
}  // namespace ntp::os

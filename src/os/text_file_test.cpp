#include "os/text_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "os/fd.h"

namespace ntp::os {
namespace {

struct TextFile : testing::Test {
  std::string folder = testing::TempDir() + "ntp-text-file-" + std::to_string(::getpid());
  void SetUp() override { std::filesystem::create_directory(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }
};

TEST_F(TextFile, IsReplacedAsAWhole) {
  const std::string path = folder + "/state";
  ASSERT_TRUE(replace_text_file(path, "one\n").has_value());
  ASSERT_TRUE(replace_text_file(path, "2\n").has_value());
  EXPECT_EQ(read_text_file(path, 2).value(), "2\n");
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_F(TextFile, OfDevNullIsEmpty) { EXPECT_EQ(read_text_file("/dev/null", 9).value(), ""); }

// Whoever may write in the directory cannot have us write elsewhere.
TEST_F(TextFile, DoesNotWriteThroughALink) {
  const std::string target = folder + "/target";
  const std::string path = folder + "/state";
  ASSERT_TRUE(replace_text_file(target, "theirs").has_value());
  std::filesystem::create_symlink(target, path + ".new");
  EXPECT_EQ(replace_text_file(path, "ours").error().code, ELOOP);
  std::filesystem::remove(path + ".new");
  std::filesystem::create_symlink(target, path);
  EXPECT_TRUE(replace_text_file(path, "ours").has_value());
  EXPECT_FALSE(std::filesystem::is_symlink(path));
  EXPECT_EQ(read_text_file(path, 9).value(), "ours");
  EXPECT_EQ(read_text_file(target, 9).value(), "theirs");
}

TEST_F(TextFile, ErrorsNameThePath) {
  const std::string path = folder + "/a";
  EXPECT_EQ(read_text_file(path, 9).error().code, ENOENT);
  EXPECT_EQ(read_text_file(folder, 9).error().code, EISDIR);
  ASSERT_TRUE(replace_text_file(path, "0123456789").has_value());
  EXPECT_EQ(read_text_file(path, 9).error().text(), "read " + path + ": File too large");
  ASSERT_EQ(::mkfifo((folder + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(read_text_file(folder + "/pipe", 9).error().code, EINVAL) << "and nobody waits";
  EXPECT_EQ(replace_text_file(folder + "/none/a", "x").error().code, ENOENT);
  EXPECT_FALSE(replace_text_file(folder, "x").has_value()) << "a folder stands there";
}

TEST_F(TextFile, IsToldFromWhatAReaderStandsBehind) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const Fd reader(ends[0]);
  const Fd writer(ends[1]);
  const Fd file(::open((folder + "/log").c_str(), O_WRONLY | O_CREAT, 0600));
  EXPECT_TRUE(is_regular_file(file.get()));
  EXPECT_FALSE(is_regular_file(writer.get()));
  EXPECT_FALSE(is_regular_file(-1));
}

}  // namespace
}  // namespace ntp::os

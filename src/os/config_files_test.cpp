#include "os/config_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace ntp::os {
namespace {

namespace fs = std::filesystem;

class ConfigFiles : public testing::Test {
 protected:
  ConfigFiles() {
    std::string name = (fs::temp_directory_path() / "config-files-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~ConfigFiles() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  // Names without the folder, or the first problem.
  std::string read(const std::string& name) const {
    const auto files = read_config_files(path(name));
    if (!files) return to_string(files.error().front()).substr(folder_.string().size() + 1);
    std::string list;
    for (const auto& file : *files) {
      list += file.name.substr(folder_.string().size() + 1) + "=" + file.text + " ";
    }
    return list;
  }

  fs::path folder_;
};

TEST_F(ConfigFiles, AreTheMainFileAndThenTheDropInsByName) {
  write("ntp.toml", "main");
  write("conf.d/20.toml", "c");
  write("conf.d/10.toml", "b");
  write("conf.d/9.toml", "d");
  write("conf.d/.hidden.toml", "no");
  write("conf.d/10.toml~", "no");
  write("conf.d/README", "no");
  EXPECT_EQ(read("ntp.toml"), "ntp.toml=main conf.d/10.toml=b conf.d/20.toml=c conf.d/9.toml=d ");
}

TEST_F(ConfigFiles, MayBeLinksAsInAMountOfKubernetes) {
  write("..data/ntp.toml", "main");
  fs::create_symlink("..data/ntp.toml", folder_ / "ntp.toml");
  EXPECT_EQ(read("ntp.toml"), "ntp.toml=main ");
}

TEST_F(ConfigFiles, MustExistWhenNamed) {
  EXPECT_EQ(read("ntp.toml"), "ntp.toml: cannot be opened: No such file or directory");
}

TEST_F(ConfigFiles, OfDevNullAreNone) {
  const auto files = read_config_files("/dev/null");
  ASSERT_TRUE(files.has_value());
  ASSERT_EQ(files->size(), 1u);
  EXPECT_EQ(files->front().text, "");
}

TEST_F(ConfigFiles, AreNeitherDirectoriesNorPipes) {
  fs::create_directory(folder_ / "ntp.toml");
  EXPECT_EQ(read("ntp.toml"),
            "ntp.toml: is a directory; name a file; a mount of a missing file makes a directory");
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(read("pipe"), "pipe: is not a file; a reload could not read it again");
}

TEST_F(ConfigFiles, HaveALimitOfSizeAndNumber) {
  write("ntp.toml", std::string(kLargestConfigFile, '#'));
  EXPECT_TRUE(read_config_files(path("ntp.toml")).has_value());
  write("ntp.toml", std::string(kLargestConfigFile + 1, '#'));
  EXPECT_EQ(read("ntp.toml"),
            "ntp.toml: is larger than 1024 KiB; this is not a configuration of ntp-server");
  write("ntp.toml", "");
  for (std::size_t i = 0; i <= kMostDropIns; ++i)
    write("conf.d/" + std::to_string(i) + ".toml", "");
  EXPECT_EQ(read("ntp.toml"),
            "conf.d: has over 256 drop-in files; this is not a directory of "
            "ntp-server's configuration");
}

TEST_F(ConfigFiles, TellEveryProblemAtOnce) {
  write("conf.d/a.toml/file", "");
  write("conf.d/b.toml/file", "");
  const auto files = read_config_files(path("ntp.toml"));
  ASSERT_FALSE(files.has_value());
  EXPECT_EQ(files.error().size(), 3u);
  EXPECT_EQ(config::exit_code(files.error()), config::kExitConfig);
}

TEST(Environment, IsReadWhole) {
  ::setenv("NTP_SERVER_TEST_OF_ENVIRONMENT", "a=b", 1);
  bool found = false;
  for (const auto& [name, value] : environment()) {
    if (name == "NTP_SERVER_TEST_OF_ENVIRONMENT") found = value == "a=b";
  }
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace ntp::os

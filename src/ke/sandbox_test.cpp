#include "ke/sandbox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "os/places.h"
#include "os/seccomp.h"
#include "tls/client_context.h"

namespace ntp::ke {
namespace {

namespace fs = std::filesystem;

class Reaching : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "ke_sandbox_test.XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    for (const char* folder : {"live", "archive", "keys", "other"}) {
      fs::create_directory(top_ / folder);
    }
    std::ofstream(top_ / "archive/cert1.pem") << "one";
    std::ofstream(top_ / "keys/key.pem") << "key";
    // As certbot keeps it: a link for the name, the versions elsewhere.
    fs::create_symlink(top_ / "archive/cert1.pem", top_ / "live/cert.pem");
  }
  void TearDown() override { fs::remove_all(top_); }

  os::Reach reach() const {
    return reach_of({.certificate = top_ / "live/cert.pem", .key = top_ / "keys/key.pem"});
  }
  fs::path top_;
};

TEST_F(Reaching, ReadsWhereTheFilesLieAndWhereTheirLinksLead) {
  const os::Reach all = reach();
  for (const char* good : {"live/cert.pem", "live/next", "archive/cert2.pem", "keys/key.pem"}) {
    EXPECT_TRUE(os::is_below(top_ / good, all.read)) << good;
  }
  for (const char* bad : {"other/cert.pem", "cert.pem", "other", "live/../other/x"}) {
    EXPECT_FALSE(os::is_below(top_ / bad, all.read)) << bad;
  }
}

TEST_F(Reaching, WritesNothingAndHasNoPort) {
  const os::Reach all = reach();
  EXPECT_EQ(all.replace.empty(), !os::kInstrumented);  // sanitizers write
  EXPECT_TRUE(all.sockets.empty());
  EXPECT_TRUE(all.tcp_to.empty());
  EXPECT_FALSE(all.tcp_listens);
}

TEST_F(Reaching, AsAClientReadsTheRootsAndConnectsToThePortsOfTheSources) {
  const os::Reach all =
      reach_of(ClientPlan{.roots = {top_ / "live/cert.pem", ""}, .ports = {4460, 5000}});
  EXPECT_TRUE(os::is_below(top_ / "archive/cert2.pem", all.read));
  EXPECT_FALSE(os::is_below(top_ / "keys/key.pem", all.read));
  for (const std::string& file : tls::system_root_files())
    EXPECT_TRUE(os::is_below(file, all.read));
  EXPECT_EQ(all.tcp_to, (std::vector<std::uint16_t>{4460, 5000}));
  EXPECT_FALSE(all.tcp_listens);
  EXPECT_EQ(all.replace.empty(), !os::kInstrumented);
}

TEST(KeySandbox, IsNoneWhereItIsOff) {
  const auto made = shut_in(Plan{.sandbox = config::Sandbox::off});
  EXPECT_EQ(made.landlock, 0);
  EXPECT_FALSE(made.filtered);
  EXPECT_EQ(made.lacking, "");
}

}  // namespace
}  // namespace ntp::ke

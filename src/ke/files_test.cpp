#include "ke/files.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tls/test_client.h"

namespace ntp::ke {
namespace {

using tls::testing::Files;

std::string text_of(const std::vector<Told>& told) {
  std::string text;
  for (const Told& line : told) text += line.text + '\n';
  return text;
}

TEST(CertificateFiles, AreLoadedOnceAndWatched) {
  const Files files;
  CertificateFiles watched(files.certificate, files.key);
  EXPECT_EQ(watched.context(), nullptr);
  EXPECT_NE(text_of(watched.look(false)).find("certificate loaded (CN = localhost, 1 in"),
            std::string::npos);
  ASSERT_NE(watched.context(), nullptr);
  EXPECT_TRUE(watched.look(false).empty());
  EXPECT_TRUE(watched.look(true).empty()) << "nothing has changed";
  EXPECT_TRUE(watched.view().loaded);
  EXPECT_EQ(watched.view().problem, "");
}

TEST(CertificateFiles, OldOnesStayInForceWhileNewOnesAreBad) {
  const Files files, next(std::chrono::hours(24 * 100));
  CertificateFiles watched(files.certificate, files.key);
  watched.look(false);
  const auto before = watched.context()->certificate();
  files.write("server.crt", next.server.certificate);  // the key is still the old one
  const std::string text = text_of(watched.look(false));
  EXPECT_NE(text.find("does not belong"), std::string::npos) << text;
  EXPECT_NE(text.find("from before stays in force"), std::string::npos) << text;
  EXPECT_EQ(watched.context()->certificate(), before);
  EXPECT_NE(watched.view().problem, "");
  EXPECT_TRUE(watched.look(false).empty()) << "said once";
  files.write("server.key", next.server.key);
  EXPECT_NE(text_of(watched.look(false)).find("certificate loaded"), std::string::npos);
  EXPECT_NE(watched.context()->certificate(), before);
  EXPECT_EQ(watched.view().problem, "");
}

TEST(CertificateFiles, MayComeLater) {
  const Files files;
  std::filesystem::rename(files.key, files.key + ".away");
  CertificateFiles watched(files.certificate, files.key);
  EXPECT_NE(text_of(watched.look(false)).find("no handshakes until then"), std::string::npos);
  EXPECT_TRUE(watched.look(false).empty());
  EXPECT_FALSE(watched.view().loaded);
  std::filesystem::rename(files.key + ".away", files.key);
  watched.look(false);
  EXPECT_NE(watched.context(), nullptr);
}

TEST(CertificateFiles, ThatCouldNotBeReadOnceAreReadAgain) {
  const Files files;
  CertificateFiles watched(files.certificate, files.key);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::string text = text_of(watched.look(false));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_NE(text.find("Too many open files"), std::string::npos) << text;
  EXPECT_NE(text_of(watched.look(false)).find("certificate loaded"), std::string::npos);
  EXPECT_EQ(watched.view().problem, "");
}

TEST(CertificateFiles, AreSeenBehindASwappedLink) {
  const Files files;
  for (const char* version : {"v1", "v2"}) {
    const Files of_version;
    std::filesystem::create_directory(files.folder / version);
    files.write(std::string(version) + "/crt", of_version.server.certificate);
    files.write(std::string(version) + "/key", of_version.server.key);
  }
  std::filesystem::create_directory_symlink("v1", files.folder / "now");
  CertificateFiles watched(files.folder / "now" / "crt", files.folder / "now" / "key");
  watched.look(false);
  ASSERT_NE(watched.context(), nullptr);
  const auto* first = watched.context()->get();
  std::filesystem::create_directory_symlink("v2", files.folder / "next");
  std::filesystem::rename(files.folder / "next", files.folder / "now");
  EXPECT_FALSE(watched.look(false).empty());
  EXPECT_NE(watched.context()->get(), first);
}

}  // namespace
}  // namespace ntp::ke

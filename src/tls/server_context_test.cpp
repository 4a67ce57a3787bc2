#include "tls/server_context.h"

#include <unistd.h>

#include "tls/test_client.h"

namespace ntp::tls {
namespace {

using testing::Files;
using testing::kAlpn;

const Files& files() {
  static const Files kFiles;
  return kFiles;
}

std::string why(const std::string& certificate, const std::string& key) {
  const auto loaded = ServerContext::load(certificate, key, kAlpn);
  return loaded ? "loaded" : loaded.error();
}

TEST(ServerContext, KnowsItsCertificate) {
  const auto loaded = ServerContext::load(files().certificate, files().key, kAlpn);
  ASSERT_TRUE(loaded) << loaded.error();
  EXPECT_EQ(loaded->certificate().subject, "CN = localhost");
  EXPECT_EQ(loaded->certificate().chain, 1);
  EXPECT_TRUE(loaded->warnings().empty());
  const RealTime now = os::real_now();
  EXPECT_EQ(days_left(loaded->certificate(), now), 364);
  EXPECT_EQ(validity_warning(loaded->certificate(), now), "");
}

TEST(ServerContext, AChainIsAsGoodAsItsWeakestPart) {
  const Files shorter(std::chrono::hours(24 * 5));
  const auto chain = files().write(
      "chain.crt", files().server.certificate + "\ntext between\n" + shorter.authority.certificate);
  const auto loaded = ServerContext::load(chain, files().key, kAlpn);
  ASSERT_TRUE(loaded) << loaded.error();
  EXPECT_EQ(loaded->certificate().chain, 2);
  EXPECT_EQ(days_left(loaded->certificate(), os::real_now()), 4);
}

TEST(ServerContext, SaysWhichFileIsWrongAndWhatToDo) {
  const auto& f = files();
  const auto& pair = f.server;
  const Files other;
  const std::string torn = pair.certificate.substr(0, pair.certificate.size() / 2);
  struct Case {
    std::string certificate, key;
    const char *file, *what;
  };
  const Case cases[] = {
      {"/nowhere/server.crt", f.key, "/nowhere/server.crt", "is the path right"},
      {f.certificate, "/nowhere/server.key", "/nowhere/server.key", "is the path right"},
      {f.folder, f.key, f.folder.c_str(), "not a file"},
      {f.write("empty.crt", ""), f.key, "empty.crt", "it is empty"},
      {f.certificate, f.write("empty.key", ""), "empty.key", "it is empty"},
      {f.write("der.crt", "\x30\x82\x01\x01"), f.key, "der.crt", "convert it to PEM"},
      {f.key, f.key, "server.key", "there is a private key in it"},
      {f.certificate, f.certificate, "server.crt", "there is a certificate in it"},
      {f.write("prose.crt", "hello"), f.key, "prose.crt", "no \"-----BEGIN"},
      {f.write("torn.crt", torn), f.key, "torn.crt", "certificate 1 in it is damaged"},
      {f.write("second.crt", pair.certificate + torn), f.key, "second.crt",
       "certificate 2 in it is damaged"},
      {f.certificate, other.key, other.key.c_str(), "does not belong to the first certificate"},
      {f.certificate, f.write("open.key", pair.key, 0640), "open.key", "chmod 600"},
      {f.certificate, f.write("locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
       "locked.key", "without one"},
  };
  for (const auto& wrong : cases) {
    const std::string text = why(wrong.certificate, wrong.key);
    EXPECT_NE(text.find(wrong.file), std::string::npos) << text;
    EXPECT_NE(text.find(wrong.what), std::string::npos) << text;
    EXPECT_EQ(text.find("BEGIN EC"), std::string::npos)
        << "nothing of a key in a message: " << text;
  }
}

TEST(ServerContext, ACertificateMayBeReadableByAll) {
  const auto open = files().write("public.crt", files().server.certificate, 0644);
  EXPECT_EQ(why(open, files().key), "loaded");
}

TEST(ServerContext, WarnsBeforeAndAfterTheEnd) {
  const RealTime now{std::chrono::days(20000)};
  const auto warning = [&](std::chrono::hours left) {
    return validity_warning({.valid_from = now - std::chrono::days(1), .valid_until = now + left},
                            now);
  };
  using std::chrono::days;
  EXPECT_EQ(warning(days(31)), "");
  EXPECT_EQ(warning(days(30)), "");
  EXPECT_EQ(warning(days(30) - std::chrono::hours(1)),
            "the certificate expires in 29 days; renew it");
  EXPECT_EQ(warning(days(1)), "the certificate expires in 1 day; renew it");
  EXPECT_EQ(warning(std::chrono::hours(3)), "the certificate expires within a day; renew it");
  EXPECT_NE(warning(std::chrono::hours(0)).find("has expired"), std::string::npos);
  EXPECT_NE(validity_warning({.valid_from = now + days(1), .valid_until = now + days(9)}, now)
                .find("not valid yet"),
            std::string::npos);
  EXPECT_EQ(days_left({.valid_until = now - std::chrono::hours(1)}, now), -1);
}

TEST(ServerContext, AnExpiredCertificateIsLoadedAllTheSame) {  // the clock may be what is wrong
  const Files expired(std::chrono::hours(-24));
  const auto loaded = ServerContext::load(expired.certificate, expired.key, kAlpn);
  ASSERT_TRUE(loaded) << loaded.error();
  EXPECT_NE(validity_warning(loaded->certificate(), os::real_now()), "");
}

}  // namespace
}  // namespace ntp::tls

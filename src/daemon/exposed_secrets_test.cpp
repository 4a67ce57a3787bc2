#include "daemon/exposed_secrets.h"

#include <gtest/gtest.h>

#include "ke/sandbox.h"

namespace ntp::daemon {
namespace {

using Files = std::vector<std::string>;

config::Settings settings() {
  config::Settings made;
  made.nts.certificate = "/srv/tls/server.crt";
  made.nts.key = "/srv/tls/server.key";
  made.nts.cookie_secret_file = "/srv/secrets/cookie-secret";
  made.server.keys_file = "/srv/keys";
  made.clock.state_directory = "/srv/state";
  return made;
}

Files exposed(const config::Settings& settings) {
  return exposed_secrets(settings, ke::reach_of(ke::Plan{.certificate = settings.nts.certificate,
                                                         .key = settings.nts.key}));
}

TEST(ExposedSecrets, AreThoseBesideTheCertificateOrItsKey) {
  auto given = settings();
  EXPECT_EQ(exposed(given), Files());
  given.nts.cookie_secret_file = "/srv/tls/cookie-secret";
  EXPECT_EQ(exposed(given), Files{"/srv/tls/cookie-secret"});
  given.nts.key = "/srv/secrets/server.key";
  given.nts.cookie_secret_previous_file = "/srv/secrets/before";
  EXPECT_EQ(exposed(given), (Files{"/srv/tls/cookie-secret", "/srv/secrets/before"}));
}

TEST(ExposedSecrets, AreThoseFurtherBelowToo) {
  auto given = settings();
  given.nts.certificate = "/srv/server.crt";
  EXPECT_EQ(exposed(given),
            (Files{"/srv/keys", "/srv/secrets/cookie-secret", "/srv/state/cookie-keys"}));
}

TEST(ExposedSecrets, AreThoseBesideRootsToo) {
  auto given = settings();
  given.sources.push_back({.host = "time.example", .nts = true, .nts_ca = "/srv/state/ca.crt"});
  const auto reach = ke::reach_of(ke::ClientPlan{.roots = {"/srv/state/ca.crt"}});
  EXPECT_EQ(exposed_secrets(given, reach),
            (Files{"/srv/state/cookie-keys", "/srv/state/source-cookies"}));
}

}  // namespace
}  // namespace ntp::daemon

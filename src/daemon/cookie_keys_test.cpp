#include "daemon/cookie_keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

namespace ntp::daemon {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr RealTime kNow{seconds(1'800'000'000)};
constexpr RawTime kRaw{hours(5)};

class CookieKeys : public ::testing::Test {
 protected:
  CookieKeys() {
    std::string pattern = std::filesystem::temp_directory_path() / "ntp-cookies-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    log_.configure({.level = config::LogLevel::error});
    settings_.certificate = "/x";
  }
  ~CookieKeys() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    ::chmod((folder_ / name).c_str(), 0600);
  }
  config::NtsSettings shared(const std::string& secret, const std::string& previous = "") {
    auto settings = settings_;
    write("secret", secret);
    settings.cookie_secret_file = folder_ / "secret";
    if (!previous.empty()) {
      write("previous", previous);
      settings.cookie_secret_previous_file = folder_ / "previous";
    }
    return settings;
  }
  CookieKeyKeeper keeper(const config::NtsSettings& settings, bool with_state = false) {
    return {settings, with_state ? folder_.string() : "", log_, random_};
  }
  static std::vector<std::byte> cookie(const CookieKeyKeeper& keeper) {
    static crypto::RandomStream random{crypto::RandomStream::Seed{}};
    nts::SessionKeys session;
    session.c2s.resize(crypto::key_size(session.aead));
    session.s2c.resize(crypto::key_size(session.aead));
    std::vector<std::byte> cookie(nts::cookie_size(session.aead));
    nts::CookieSealer(keeper.sealing_key()).seal(session, random, cookie);
    return cookie;
  }
  static bool opens(const CookieKeyKeeper& keeper, const std::vector<std::byte>& cookie) {
    return keeper.keys()->open(cookie).has_value();
  }

  std::filesystem::path folder_;
  Log log_;
  SeededRandom random_{9};
  config::NtsSettings settings_;
};

const std::string kSecret(32, 's');

TEST_F(CookieKeys, OfAFleetNeedNoWordBetweenItsServers) {
  auto one = keeper(shared(kSecret)), two = keeper(shared(kSecret + "\n"));
  one.look({.raw = kRaw, .real = kNow, .known = true});
  two.look({.raw = kRaw + hours(99), .real = kNow + hours(24 * 7), .known = true});
  EXPECT_TRUE(opens(two, cookie(one)));
  EXPECT_FALSE(opens(one, cookie(two))) << "seven days ahead";
  two.look({.raw = kRaw + hours(99 + 24), .real = kNow + hours(24 * 8), .known = true});
  EXPECT_FALSE(opens(two, cookie(one)));
}

TEST_F(CookieKeys, WhoDoesNotKnowTheTimeUnderstandsAndIsUnderstood) {
  auto knows = keeper(shared(kSecret)), does_not = keeper(shared(kSecret));
  knows.look({.raw = kRaw, .real = kNow, .known = true});
  does_not.look({.raw = kRaw, .real = RealTime{}, .known = false});  // 1970
  EXPECT_TRUE(opens(does_not, cookie(knows)));
  does_not.look({.raw = kRaw, .real = kNow + hours(3), .known = false});
  EXPECT_TRUE(opens(knows, cookie(does_not))) << "its clock is right, though nobody says so";
}

TEST_F(CookieKeys, OnceTheTimeIsKnownAClockThatIsSetChangesNothing) {
  auto server = keeper(shared(kSecret));
  EXPECT_TRUE(server.look({.raw = kRaw, .real = kNow, .known = true}));
  const auto before = cookie(server);
  EXPECT_FALSE(server.look({.raw = kRaw + seconds(1), .real = RealTime{}, .known = false}));
  EXPECT_TRUE(opens(server, before));
}

// Its own clock stood still meanwhile. A neighbour that went on makes cookies of a newer epoch.
TEST_F(CookieKeys, AfterASuspendTheTimeIsNotKnownUntilItIsToldAgain) {
  auto neighbour = keeper(shared(kSecret)), sleeper = keeper(shared(kSecret));
  neighbour.look({.raw = kRaw, .real = kNow + hours(24 * 3), .known = true});
  sleeper.look({.raw = kRaw, .real = kNow, .known = true, .boot_lead = seconds(7)});
  sleeper.look({.raw = kRaw + hours(24 * 30), .real = kNow, .boot_lead = seconds(7)});
  EXPECT_FALSE(opens(sleeper, cookie(neighbour))) << "it knows better by its own clock";
  const auto lead = seconds(7) + hours(24 * 3);
  const CookieKeyKeeper::Time awake{
      .raw = kRaw + hours(24 * 30) + seconds(1), .real = kNow + hours(24 * 3), .boot_lead = lead};
  EXPECT_TRUE(sleeper.look(awake));
  EXPECT_TRUE(opens(sleeper, cookie(neighbour)));
  EXPECT_TRUE(opens(neighbour, cookie(sleeper))) << "its host's clock was set";
  EXPECT_NE(sleeper.where().find("the time is not known"), std::string::npos) << sleeper.where();
  auto told = awake;
  told.raw += seconds(1);
  told.known = true;
  EXPECT_TRUE(sleeper.look(told));
  EXPECT_EQ(sleeper.where(), neighbour.where());
}

TEST_F(CookieKeys, ASecretMayBeReplacedByANewOne) {
  auto old = keeper(shared(kSecret));
  old.look({.raw = kRaw, .real = kNow, .known = true});
  const auto before = cookie(old);
  auto server = keeper(shared(std::string(40, 'n'), kSecret));
  server.look({.raw = kRaw, .real = kNow, .known = true});
  EXPECT_TRUE(opens(server, before));
  write("secret", std::string(40, 'm'));
  EXPECT_TRUE(server.look({.raw = kRaw + seconds(1), .real = kNow, .known = true}));
}

TEST_F(CookieKeys, ABadNewSecretLeavesTheOldOneInForce) {
  auto server = keeper(shared(kSecret));
  server.look({.raw = kRaw, .real = kNow, .known = true});
  const auto before = cookie(server);
  write("secret", "short");
  EXPECT_FALSE(server.look({.raw = kRaw + seconds(1), .real = kNow, .known = true}));
  EXPECT_NE(server.problem().find("it holds 5 octets"), std::string::npos) << server.problem();
  EXPECT_TRUE(opens(server, before));
  write("secret", kSecret);
  server.look({.raw = kRaw + seconds(2), .real = kNow, .known = true});
  EXPECT_EQ(server.problem(), "");
}

TEST_F(CookieKeys, WithoutASecretThatCanBeReadThereAreNone) {
  auto settings = settings_;
  settings.cookie_secret_file = folder_ / "none";
  auto server = keeper(settings);
  EXPECT_FALSE(server.look({.raw = kRaw, .real = kNow, .known = true}));
  EXPECT_EQ(server.keys(), nullptr);
  write("none", kSecret);
  EXPECT_TRUE(server.look({.raw = kRaw + seconds(1), .real = kNow, .known = true}));
  EXPECT_NE(server.keys(), nullptr);
}

TEST_F(CookieKeys, OfItsOwnSurviveARestartAndAnyClock) {
  std::vector<std::byte> before;
  {
    auto server = keeper(settings_, true);
    EXPECT_TRUE(server.look({.raw = kRaw, .real = kNow, .known = true}));
    before = cookie(server);
  }  // killed: nothing was said at the end
  auto server = keeper(settings_, true);
  server.look({.raw = RawTime{}, .real = kNow + hours(24 * 3650), .known = true});
  EXPECT_TRUE(opens(server, before));
  struct stat status{};
  ASSERT_EQ(::stat((folder_ / "cookie-keys").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  for (int day = 1; day <= 8; ++day) {
    server.look({.raw = RawTime{} + hours(24 * day), .real = kNow, .known = false});
    EXPECT_EQ(opens(server, before), day <= 7) << day;
  }
}

// Whoever is killed again and again never comes to the end of an hour, nor to that of an epoch.
TEST_F(CookieKeys, OfItsOwnAgeAlthoughNoEndIsOrderly) {
  settings_.rotation = seconds(600);
  for (const seconds life : {seconds(20), seconds(90), seconds(1000), seconds(5000)}) {
    std::filesystem::remove(folder_ / "cookie-keys");
    std::optional<std::vector<std::byte>> before;
    seconds ran{};
    for (bool good = true; good; ran += life) {
      ASSERT_LE(ran, seconds(8 * 600) + life) << life.count();
      auto server = keeper(settings_, true);
      for (seconds at{}; at <= life; at += seconds(10)) {
        server.look({.raw = kRaw + at, .real = kNow, .known = true});
      }
      if (!before) before = cookie(server);
      good = opens(server, *before);
    }
    const double counts_at_most = std::max(2.0, 80.0 / static_cast<double>(life.count()));
    EXPECT_GE(ran * counts_at_most, seconds(7 * 600)) << life.count();
  }
}

TEST_F(CookieKeys, OfItsOwnAreAsOldAsTheyAreAfterAnOrderlyEnd) {
  for (int life = 0; life < 100; ++life) {
    auto server = keeper(settings_, true);
    server.look({.raw = kRaw, .real = kNow, .known = true});
    server.look({.raw = kRaw + seconds(20), .real = kNow, .known = true});
    server.keep();
  }
  std::ifstream file(folder_ / "cookie-keys");
  EXPECT_NE(std::string(std::istreambuf_iterator<char>(file), {}).find("\nage 2000\n"),
            std::string::npos);
}

TEST_F(CookieKeys, OfItsOwnAreMadeAnewWhereTheFileIsGarbled) {
  auto first = keeper(settings_, true);
  first.look({.raw = kRaw, .real = kNow, .known = true});
  write("cookie-keys", "garbage");
  auto server = keeper(settings_, true);
  EXPECT_TRUE(server.look({.raw = kRaw, .real = kNow, .known = true}));
  EXPECT_FALSE(opens(server, cookie(first)));
  auto next = keeper(settings_, true);
  next.look({.raw = kRaw, .real = kNow, .known = true});
  EXPECT_TRUE(opens(next, cookie(server)));
}

TEST_F(CookieKeys, OfItsOwnAreNotReplacedWhereTheyCouldNotBeRead) {
  auto first = keeper(settings_, true);
  first.look({.raw = kRaw, .real = kNow, .known = true});
  const auto before = cookie(first);
  ::chmod((folder_ / "cookie-keys").c_str(), 0666);  // refused, as anything that open(2) may say
  {
    auto server = keeper(settings_, true);
    EXPECT_TRUE(server.look({.raw = kRaw, .real = kNow, .known = true}));
    EXPECT_TRUE(opens(server, cookie(server)));
    EXPECT_NE(server.problem(), "");
    server.keep();
  }
  ::chmod((folder_ / "cookie-keys").c_str(), 0600);
  auto next = keeper(settings_, true);
  next.look({.raw = kRaw, .real = kNow, .known = true});
  EXPECT_TRUE(opens(next, before));
  EXPECT_EQ(next.problem(), "");
}

TEST_F(CookieKeys, OfItsOwnWorkWhereNothingCanBeWritten) {
  CookieKeyKeeper server(settings_, "/proc/nowhere", log_, random_);
  EXPECT_TRUE(server.look({.raw = kRaw, .real = kNow, .known = true}));
  EXPECT_TRUE(opens(server, cookie(server)));
  EXPECT_NE(server.problem(), "");
}

// What clients of a month may count on (A49): a cookie is good for seven rotations and then no
// more, on every server, the first day like the last.
TEST_F(CookieKeys, InAMonthEachCookieIsGoodForSevenRotationsAndNoLonger) {
  auto sealing = keeper(shared(kSecret)), opening = keeper(shared(kSecret)),
       own = keeper(settings_, true);
  struct Made {
    int day;
    std::vector<std::byte> fleet, own;
  };
  std::vector<Made> all;
  std::set<std::vector<std::byte>> keys;
  for (int hour = 0; hour < 30 * 24; ++hour) {
    const CookieKeyKeeper::Time time{
        .raw = kRaw + hours(hour), .real = kNow + hours(hour), .known = true};
    for (auto* server : {&sealing, &opening, &own}) server->look(time);
    const int day = static_cast<int>((kNow + hours(hour)).time_since_epoch() / hours(24));
    if (hour % 24 == 0) all.push_back({.day = day, .fleet = cookie(sealing), .own = cookie(own)});
    const nts::CookieKey key = sealing.sealing_key();
    keys.emplace(key.key.view().begin(), key.key.view().end());
    for (const Made& made : all) {
      EXPECT_EQ(opens(opening, made.fleet), day - made.day <= 7) << hour << " of " << made.day;
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(opens(own, all[i].own), hour / 24 - static_cast<int>(i) <= 7) << hour << ' ' << i;
    }
  }
  EXPECT_GE(keys.size(), 30u);
}

// A50: clients that meet another server of the fleet at each request, whose clocks are half a
// minute apart and of which one does not know the time.
TEST_F(CookieKeys, ClientsMayHopBetweenTheServersOfAFleetAtEachRequest) {
  auto settings = shared(kSecret);
  settings.rotation = seconds(60);
  auto early = keeper(settings), late = keeper(settings), lost = keeper(settings);
  const std::array servers{&early, &late, &lost};
  std::mt19937_64 dice(3);
  late.look({.raw = kRaw, .real = kNow - seconds(30), .known = true});
  auto in_hand = cookie(late);
  for (int second = 0; second < 86'400; second += 7) {
    early.look({.raw = kRaw + seconds(second), .real = kNow + seconds(second), .known = true});
    late.look({.raw = kRaw + seconds(second), .real = kNow + seconds(second - 30), .known = true});
    lost.look({.raw = kRaw + seconds(second), .real = RealTime{}, .known = false});
    const auto& server = *servers[dice() % servers.size()];
    const auto opened = server.keys()->open(in_hand);
    ASSERT_TRUE(opened) << second << ": a NAK";
    static crypto::RandomStream random{crypto::RandomStream::Seed{}};
    nts::CookieSealer(opened->own_key().value_or(server.keys()->current_key()))
        .seal(opened->keys(), random, in_hand);
  }
}

}  // namespace
}  // namespace ntp::daemon

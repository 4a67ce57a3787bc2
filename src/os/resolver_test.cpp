#include "os/resolver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "os/clocks.h"

namespace ntp::os {
namespace {

using namespace std::chrono_literals;

// Turns the loop until `done`, for at most a generous while.
template <typename Done>
void turn(PollLoop& loop, Done done) {
  const RawTime deadline = raw_now() + 20s;
  while (!done() && raw_now() < deadline) loop.run_once(100ms);
}

TEST(Resolver, FindsANumericAddressWithoutAskingAnybody) {
  PollLoop loop(raw_now);
  Resolver resolver(loop);
  std::vector<std::string> found;
  for (const char* name : {"192.0.2.7", "2001:db8::7"}) {
    resolver.ask(name, [&](const Resolver::Addresses& addresses) {
      found.push_back(addresses ? to_string(addresses->front()) : addresses.error());
    });
  }
  turn(loop, [&] { return found.size() == 2; });
  std::ranges::sort(found);
  EXPECT_EQ(found, (std::vector<std::string>{"192.0.2.7", "2001:db8::7"}));
}

TEST(Resolver, SaysWhyANameCannotBeFound) {
  PollLoop loop(raw_now);
  Resolver resolver(loop);
  std::optional<Resolver::Addresses> found;
  resolver.ask("a name with blanks", [&](const Resolver::Addresses& a) { found = a; });
  turn(loop, [&] { return found.has_value(); });
  ASSERT_TRUE(found.has_value());
  ASSERT_FALSE(found->has_value());
  EXPECT_FALSE(found->error().empty());
}

TEST(Resolver, CanEndWhileAQuestionIsOpen) {
  PollLoop loop(raw_now);
  bool called = false;
  {
    Resolver resolver(loop);
    resolver.ask("192.0.2.7", [&](const Resolver::Addresses&) { called = true; });
  }
  loop.run_once(50ms);
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace ntp::os

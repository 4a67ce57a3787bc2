#include "daemon/access_plan.h"

#include <gtest/gtest.h>

namespace ntp::daemon {
namespace {

using config::Unlisted;

server::AccessRule rule(const char* prefix, bool allowed, const char* listener = nullptr) {
  server::AccessRule rule{.prefix = *parse_prefix(prefix), .allowed = allowed};
  if (listener != nullptr) rule.listener = parse_endpoint(listener, 123);
  return rule;
}

bool allows(const AccessPlan& plan, const char* listener, const char* client) {
  const auto& table = plan.of(*parse_endpoint(listener, 123));
  return table == nullptr || table->allows(*parse_ip(client));
}

TEST(AccessPlan, HasNoTableWhereEverybodyIsAnswered) {
  EXPECT_EQ(access_plan({}).general, nullptr);
  EXPECT_EQ(access_plan({.unlisted = Unlisted::allow}).general, nullptr);
  EXPECT_EQ(access_plan({.allow = {rule("10.0.0.0/8", true)}, .unlisted = Unlisted::allow}).general,
            nullptr);
  EXPECT_NE(access_plan({.unlisted = Unlisted::deny}).general, nullptr);
}

TEST(AccessPlan, DeniesTheUnlistedWhereAnythingIsAllowed) {
  EXPECT_FALSE(allows(access_plan({.allow = {rule("10.0.0.0/8", true)}}), "0.0.0.0", "11.0.0.1"));
  EXPECT_TRUE(allows(access_plan({.deny = {rule("10.0.0.0/8", false)}}), "0.0.0.0", "11.0.0.1"));
  EXPECT_FALSE(allows(access_plan({.more = {rule("10.0.0.0/8", true)}}), "0.0.0.0", "11.0.0.1"));
  EXPECT_TRUE(allows(access_plan({.allow = {rule("10.0.0.0/8", true)},
                                  .deny = {rule("10.1.0.0/16", false)},
                                  .unlisted = Unlisted::allow}),
                     "0.0.0.0", "11.0.0.1"));
}

TEST(AccessPlan, GivesAListenerWithRulesOfItsOwnNoOthers) {
  const AccessPlan plan = access_plan(
      {.allow = {rule("10.0.0.0/8", true, "192.0.2.1")}, .deny = {rule("10.1.0.0/16", false)}});
  EXPECT_TRUE(allows(plan, "192.0.2.1", "10.1.0.1"));
  EXPECT_FALSE(allows(plan, "192.0.2.1", "11.0.0.1"));
  EXPECT_FALSE(allows(plan, "192.0.2.2", "10.1.0.1"));
  EXPECT_TRUE(allows(plan, "192.0.2.2", "11.0.0.1"));
}

}  // namespace
}  // namespace ntp::daemon

#include "daemon/access_plan.h"

#include <algorithm>
#include <map>
#include <optional>

namespace ntp::daemon {
namespace {

std::shared_ptr<const server::AccessTable> table_of(std::span<const server::AccessRule> rules,
                                                    config::Unlisted unlisted) {
  const bool any_allowed = std::ranges::any_of(rules, &server::AccessRule::allowed);
  const bool others =
      unlisted == config::Unlisted::automatic ? !any_allowed : unlisted == config::Unlisted::allow;
  const bool all_allowed = std::ranges::all_of(rules, &server::AccessRule::allowed);
  if (others && all_allowed) return nullptr;
  return std::make_shared<const server::AccessTable>(rules, others);
}

}  // namespace

const std::shared_ptr<const server::AccessTable>& AccessPlan::of(
    const Endpoint& listener) const noexcept {
  const auto found =
      std::ranges::find(own, listener, [](const auto& entry) -> auto& { return entry.first; });
  return found == own.end() ? general : found->second;
}

AccessPlan access_plan(const config::AccessSettings& access) {
  std::map<std::optional<Endpoint>, std::vector<server::AccessRule>> by_listener;
  for (const auto* list : {&access.allow, &access.deny, &access.more}) {
    for (const auto& rule : *list) by_listener[rule.listener].push_back(rule);
  }
  AccessPlan plan{.general = table_of(by_listener[std::nullopt], access.unlisted)};
  for (const auto& [listener, rules] : by_listener) {
    if (listener) plan.own.emplace_back(*listener, table_of(rules, access.unlisted));
  }
  return plan;
}

}  // namespace ntp::daemon

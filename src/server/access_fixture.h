// What access rules mean, word by word: what the table is held against.
#pragma once

#include <span>

#include "server/access.h"

namespace ntp::server {

// Of the rules that hold the address the longest decides, and of equals the last.
inline bool allows_by_search(std::span<const AccessRule> rules, bool unlisted,
                             const IpAddress& address) {
  bool verdict = unlisted;
  int longest = -1;
  for (const AccessRule& rule : rules) {
    if (!rule.prefix.contains(address) || int{rule.prefix.length} < longest) continue;
    longest = rule.prefix.length;
    verdict = rule.allowed;
  }
  return verdict;
}

}  // namespace ntp::server

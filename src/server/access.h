// Who is answered at all: prefixes that are allowed or denied; of those that hold an address the
// longest decides.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ip.h"
#include "base/prefix.h"

namespace ntp::server {

struct AccessRule {
  Prefix prefix{};
  bool allowed = false;
  std::optional<Endpoint> listener{};  // the one listening address that it is about; empty: all

  friend bool operator==(const AccessRule&, const AccessRule&) = default;
};

// Made once from rules in any order and never changed, so that any number of threads may read it.
// The rules become disjoint ranges, between whose verdicts every start is a change: a lookup is a
// binary search, whatever the number of rules, and touches a few cache lines.
class AccessTable {
 public:
  // `unlisted` is for addresses that no rule holds. A prefix that stands twice has its last
  // verdict.
  AccessTable(std::span<const AccessRule> rules, bool unlisted);

  bool allows(const IpAddress& address) const noexcept;

  std::size_t ranges() const noexcept { return v4_.starts.size() + v6_.starts.size(); }

 private:
  struct Wide {  // an IPv6 address as a number
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    friend constexpr auto operator<=>(const Wide&, const Wide&) noexcept = default;
  };
  // starts[0] is the lowest address; the verdict of range i is first_allowed, turned over i times.
  template <typename Key>
  struct Ranges {
    std::vector<Key> starts{};
    bool first_allowed = true;
  };
  template <typename Key>
  struct Interval;
  template <typename Key>
  class Sweep;

  static std::uint32_t narrow(const IpAddress& address) noexcept;
  static Wide wide(const IpAddress& address) noexcept;

  Ranges<std::uint32_t> v4_{};
  // Where the ranges of each value of an IPv4 address's upper half begin; empty where a plain
  // search is as fast.
  std::vector<std::uint32_t> v4_index_{};
  Ranges<Wide> v6_{};
};

}  // namespace ntp::server

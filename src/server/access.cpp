#include "server/access.h"

#include <algorithm>
#include <limits>

namespace ntp::server {
namespace {

constexpr std::size_t kWorthAnIndex = 64;  // ranges
constexpr std::size_t kUpperHalves = 1 << 16;

// The last of the sorted `starts` that is not above `key`; the first one is not. Without a branch
// that could be mispredicted: which way it goes is up to whoever sends the packets.
template <typename Key>
std::size_t range_of(std::span<const Key> starts, const Key& key) noexcept {
  const Key* base = starts.data();
  std::size_t left = starts.size();
  while (left > 1) {
    const std::size_t half = left / 2;
    base += base[half] <= key ? half : 0;
    left -= half;
  }
  return static_cast<std::size_t>(base - starts.data());
}

std::uint64_t big_endian(const IpAddress& address, std::size_t from, std::size_t octets) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < octets; ++i) value = value << 8 | address.octets[from + i];
  return value;
}

// The highest address of a prefix.
IpAddress last_of(const Prefix& prefix) noexcept {
  IpAddress last = prefix.address;
  const std::size_t octets = last.is_v4() ? 4 : 16;
  for (std::size_t i = 0; i < octets; ++i) {
    const std::size_t kept = prefix.length <= 8 * i ? 0 : prefix.length - 8 * i;
    if (kept < 8) last.octets[i] = static_cast<std::uint8_t>(last.octets[i] | 0xff >> kept);
  }
  return last;
}

}  // namespace

template <typename Key>
struct AccessTable::Interval {
  Key first{};
  Key last{};
  bool allowed = false;
  std::size_t place = 0;  // among the rules
};

// Walks the intervals, which nest or are apart, from the lowest address to the highest.
template <typename Key>
class AccessTable::Sweep {
 public:
  explicit Sweep(Ranges<Key>& out) : out_(out) {}

  void run(std::vector<Interval<Key>> intervals, bool unlisted) {
    // The outer of two that begin together comes first; of two alike the later one wins.
    std::ranges::sort(intervals, [](const Interval<Key>& a, const Interval<Key>& b) {
      if (a.first != b.first) return a.first < b.first;
      return a.last != b.last ? b.last < a.last : a.place < b.place;
    });
    out_.first_allowed = unlisted;
    out_.starts = {Key{}};
    verdict_ = unlisted;
    for (const Interval<Key>& interval : intervals) {
      close_before(interval.first, unlisted);
      change(interval.first, interval.allowed);
      open_.push_back(interval);
    }
    while (!open_.empty()) close(unlisted);
    out_.starts.shrink_to_fit();
  }

 private:
  void close_before(const Key& first, bool unlisted) {
    while (!open_.empty() && open_.back().last < first) close(unlisted);
  }

  void close(bool unlisted) {
    const Key last = open_.back().last;
    open_.pop_back();
    if (last == highest()) return;
    change(after(last), open_.empty() ? unlisted : open_.back().allowed);
  }

  // From `start` on the verdict is `allowed`, whatever was said of that very place before.
  void change(const Key& start, bool allowed) {
    if (allowed == verdict_) return;
    verdict_ = allowed;
    if (out_.starts.back() != start) {
      out_.starts.push_back(start);
    } else if (out_.starts.size() == 1) {
      out_.first_allowed = allowed;
    } else {
      out_.starts.pop_back();
    }
  }

  static Key highest() {
    if constexpr (std::is_same_v<Key, Wide>) {
      return {std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max()};
    } else {
      return std::numeric_limits<Key>::max();
    }
  }

  static Key after(Key key) {
    if constexpr (std::is_same_v<Key, Wide>) {
      return {key.high + (key.low == std::numeric_limits<std::uint64_t>::max() ? 1 : 0),
              key.low + 1};
    } else {
      return key + 1;
    }
  }

  Ranges<Key>& out_;
  std::vector<Interval<Key>> open_;  // those that hold the place of the sweep, the innermost last
  bool verdict_ = true;
};

std::uint32_t AccessTable::narrow(const IpAddress& address) noexcept {
  return static_cast<std::uint32_t>(big_endian(address, 0, 4));
}

AccessTable::Wide AccessTable::wide(const IpAddress& address) noexcept {
  return {big_endian(address, 0, 8), big_endian(address, 8, 8)};
}

AccessTable::AccessTable(std::span<const AccessRule> rules, bool unlisted) {
  std::vector<Interval<std::uint32_t>> v4;
  std::vector<Interval<Wide>> v6;
  for (const AccessRule& rule : rules) {
    const IpAddress& first = rule.prefix.address;
    const IpAddress last = last_of(rule.prefix);
    if (first.is_v4()) {
      v4.push_back({narrow(first), narrow(last), rule.allowed, v4.size()});
    } else {
      v6.push_back({wide(first), wide(last), rule.allowed, v6.size()});
    }
  }
  Sweep(v4_).run(std::move(v4), unlisted);
  Sweep(v6_).run(std::move(v6), unlisted);
  if (v4_.starts.size() < kWorthAnIndex) return;
  v4_index_.resize(kUpperHalves + 1);
  std::size_t range = 0;
  for (std::size_t upper = 0; upper < kUpperHalves; ++upper) {
    const auto lowest = static_cast<std::uint32_t>(upper << 16);
    while (range + 1 < v4_.starts.size() && v4_.starts[range + 1] <= lowest) ++range;
    v4_index_[upper] = static_cast<std::uint32_t>(range);
  }
  v4_index_[kUpperHalves] = static_cast<std::uint32_t>(v4_.starts.size() - 1);
}

bool AccessTable::allows(const IpAddress& address) const noexcept {
  if (!address.is_v4()) {
    const std::size_t range = range_of(std::span<const Wide>(v6_.starts), wide(address));
    return v6_.first_allowed != (range % 2 == 1);
  }
  const std::uint32_t key = narrow(address);
  std::size_t first = 0;
  std::size_t last = v4_.starts.size() - 1;
  if (!v4_index_.empty()) {
    first = v4_index_[key >> 16];
    last = v4_index_[(key >> 16) + 1];
  }
  const auto starts = std::span<const std::uint32_t>(v4_.starts).subspan(first, last - first + 1);
  const std::size_t range = first + range_of(starts, key);
  return v4_.first_allowed != (range % 2 == 1);
}

}  // namespace ntp::server

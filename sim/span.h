// A stretch of a run, once or in each period.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace ntp::sim {

struct Span {
  double from_s = 0;
  double length_s = 0;
  double period_s = 0;  // 0: once

  // Since the stretch (or the one of this period) began; negative before the first.
  double since_s(double at_s) const noexcept {
    const double since = at_s - from_s;
    return period_s > 0 && since >= 0 ? std::fmod(since, period_s) : since;
  }
  bool contains(double at_s) const noexcept {
    const double since = since_s(at_s);
    return since >= 0 && since < length_s;
  }
  double end_s(double at_s) const noexcept { return at_s - since_s(at_s) + length_s; }
};

inline bool within(const std::vector<Span>& spans, double at_s) noexcept {
  return std::ranges::any_of(spans, [at_s](const Span& span) { return span.contains(at_s); });
}

}  // namespace ntp::sim

#include "config/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "config/units.h"

namespace ntp::config {
namespace {

constexpr std::size_t kLongestName = 64;  // nothing longer is a slip of the finger
constexpr std::size_t kShortestStem = 3;  // "warn" means "warning"

std::string folded(std::string_view text) {
  std::string out = lower_case(text);
  std::ranges::replace(out, '-', '_');
  return out;
}

}  // namespace

int edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment over three rows of the table.
  const std::size_t width = b.size() + 1;
  std::vector<int> before(width);
  std::vector<int> last(width);
  std::vector<int> row(width);
  for (std::size_t j = 0; j < width; ++j) last[j] = static_cast<int>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j < width; ++j) {
      const int replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string_view nearest(std::string_view written, std::span<const std::string_view> known) {
  if (written.size() > kLongestName) return {};
  const std::string wanted = folded(written);
  std::string_view best;
  int best_distance = 0;
  for (const auto name : known) {
    const std::string candidate = folded(name);
    const bool shortened = wanted.size() >= kShortestStem && candidate.starts_with(wanted);
    const int distance = shortened ? 1 : edit_distance(wanted, candidate);
    const auto tolerated = static_cast<int>(std::max<std::size_t>(1, name.size() / 3));
    if (distance > tolerated) continue;
    if (best.empty() || distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view written, std::span<const std::string_view> known) {
  const auto name = nearest(written, known);
  return name.empty() ? std::string{} : fmt::format("did you mean {}?", quote(name));
}

}  // namespace ntp::config

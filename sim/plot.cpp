#include "sim/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace ntp::sim {
namespace {

constexpr double kWidth = 900;
constexpr double kLeft = 80;
constexpr double kColumns = 800;
constexpr double kSmallest_s = 1e-7;  // about linear below
constexpr std::array kDecades{1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0};
constexpr std::array<std::string_view, 8> kDecadeNames{"1 us",  "10 us",  "100 us", "1 ms",
                                                       "10 ms", "100 ms", "1 s",    "10 s"};

struct Panel {
  double top = 0;
  double height = 0;
  double low = 0;
  double high = 1;

  double y(double value) const {
    return top + height * (high - std::clamp(value, low, high)) / (high - low);
  }
};

double signed_log(double value_s) { return std::asinh(value_s / kSmallest_s); }

struct Point {
  double x = 0;
  double y = 0;
};

std::string line(const std::vector<Point>& points, std::string_view style) {
  std::string out = fmt::format("<polyline {} points=\"", style);
  for (const Point& p : points) out += fmt::format("{:.1f},{:.1f} ", p.x, p.y);
  return out + "\"/>\n";
}

std::string label(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     text);
}

std::string frame(const Panel& panel) {
  return fmt::format(
      "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#888\"/>\n", kLeft,
      panel.top, kColumns, panel.height);
}

// The largest and the smallest value of each column, so that no spike is lost.
template <typename Value>
std::vector<Point> trace(const std::vector<Look>& looks, const Panel& panel, Value value) {
  std::vector<Point> points;
  const std::size_t step = std::max<std::size_t>(1, looks.size() / static_cast<int>(kColumns));
  for (std::size_t i = 0; i < looks.size(); i += step) {
    const double x = kLeft + kColumns * static_cast<double>(i) / static_cast<double>(looks.size());
    const auto first = looks.begin() + static_cast<std::ptrdiff_t>(i);
    const auto last = looks.begin() + static_cast<std::ptrdiff_t>(std::min(i + step, looks.size()));
    const auto [least, most] = std::minmax_element(
        first, last, [&value](const Look& a, const Look& b) { return value(a) < value(b); });
    points.push_back({x, panel.y(value(*least))});
    if (least != most) points.push_back({x, panel.y(value(*most))});
  }
  return points;
}

std::string decades(const Panel& panel) {
  std::string out;
  for (const double sign : {1.0, -1.0}) {
    for (std::size_t i = 0; i < kDecades.size(); ++i) {
      const double value = sign * signed_log(kDecades[i]);
      if (value >= panel.high || value <= panel.low) continue;
      out += fmt::format("<path d=\"M{} {:.1f}h{}\" stroke=\"#ddd\"/>\n", kLeft, panel.y(value),
                         kColumns);
      out += label(kLeft - 6, panel.y(value) + 4, "end",
                   fmt::format("{}{}", sign < 0 ? "-" : "", kDecadeNames[i]));
    }
  }
  return out;
}

// Columns in which the machine does not call itself synchronised.
std::string shades(const std::vector<Look>& looks, const Panel& panel) {
  std::string out;
  for (std::size_t i = 0; i < looks.size();) {
    std::size_t end = i;
    while (end < looks.size() && !looks[end].synchronised) ++end;
    if (end > i) {
      const double scale = kColumns / static_cast<double>(looks.size());
      out += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"#fdd\"/>\n",
          kLeft + scale * static_cast<double>(i), panel.top, scale * static_cast<double>(end - i),
          panel.height);
    }
    i = end + 1;
  }
  return out;
}

}  // namespace

std::string svg(const std::string& title, const std::vector<Look>& looks) {
  double most_s = kSmallest_s;
  double least_ppm = 0;
  double most_ppm = 0;
  for (const Look& look : looks) {
    if (look.synchronised) most_s = std::max({most_s, std::fabs(look.error_s), look.bound_s});
    least_ppm = std::min(least_ppm, look.true_rate * 1e6);
    most_ppm = std::max(most_ppm, look.true_rate * 1e6);
  }
  const double edge = 1.1 * signed_log(most_s);
  const double margin = 0.1 * (most_ppm - least_ppm) + 0.01;
  const Panel error{40, 340, -edge, edge};
  const Panel rate{420, 160, least_ppm - margin, most_ppm + margin};
  const auto shown = [](const Look& look, double value) { return look.synchronised ? value : 0; };
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"620\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#fff\"/>\n",
      kWidth);
  out += label(kLeft, 24, "start",
               title + ": error (blue) within the bound (grey), not synchronised (pink)");
  out += shades(looks, error) + decades(error);
  for (const double sign : {1.0, -1.0}) {
    out += line(
        trace(looks, error, [&](const Look& l) { return shown(l, sign * signed_log(l.bound_s)); }),
        "fill=\"none\" stroke=\"#888\"");
  }
  out += line(trace(looks, error, [&](const Look& l) { return shown(l, signed_log(l.error_s)); }),
              "fill=\"none\" stroke=\"#06c\"");
  out += frame(error) + frame(rate);
  out +=
      label(kLeft, 412, "start", "frequency of the raw clock in ppm: true (grey), believed (red)");
  out += line(trace(looks, rate, [](const Look& l) { return l.true_rate * 1e6; }),
              "fill=\"none\" stroke=\"#888\" stroke-width=\"3\"");
  out += line(trace(looks, rate, [](const Look& l) { return l.rate * 1e6; }),
              "fill=\"none\" stroke=\"#c00\"");
  out += label(kLeft - 6, rate.top + 12, "end", fmt::format("{:.3f}", rate.high));
  out += label(kLeft - 6, rate.top + rate.height, "end", fmt::format("{:.3f}", rate.low));
  const double end_s = looks.empty() ? 0 : looks.back().at_s;
  out += label(kLeft, 600, "start", "0 s") +
         label(kLeft + kColumns, 600, "end", fmt::format("{:.0f} s", end_s));
  return out + "</svg>\n";
}

}  // namespace ntp::sim

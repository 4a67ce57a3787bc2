#include "cli/served_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/ctl_text.h"

namespace ntp::cli {

using nlohmann::json;

std::optional<ServedTime> compare(const client::Measurement& measured, const json& status) {
  const json system = status.value("system", json());
  const json clock = status.value("clock", json());
  if (!system.is_object() || system.value("serving", json()) != true) return std::nullopt;
  double host_offset_s = 0;  // without sources it is the host's clock that is served
  if (!clock.is_null()) {
    const json offset = clock.is_object() ? clock.value("host_offset_s", json()) : json();
    if (!offset.is_number()) return std::nullopt;
    host_offset_s = offset.get<double>();
  }
  ServedTime served{.offset_s = measured.offset_s + host_offset_s,
                    .offset_error_s = std::max(0.0, measured.delay_s) / 2};
  const json bound = system.value("error_bound_s", json());
  if (bound.is_number()) served.error_bound_s = bound.get<double>();
  return served;
}

std::string served_text(const ServedTime& served) {
  const std::string truth = served.error_bound_s
                                ? "is right within " + show_seconds(*served.error_bound_s, false)
                                : "is not synchronised";
  return fmt::format("  against the time served here: {} +- {}; that time {}\n",
                     show_seconds(served.offset_s, true),
                     show_seconds(served.offset_error_s, false), truth);
}

json served_json(const ServedTime& served) {
  return {{"offset_s", served.offset_s},
          {"offset_error_s", served.offset_error_s},
          {"error_bound_s", served.error_bound_s ? json(*served.error_bound_s) : json()}};
}

}  // namespace ntp::cli

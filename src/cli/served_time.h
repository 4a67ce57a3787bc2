// How the time of another server compares with the one that our own server serves. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "client/exchange.h"

namespace ntp::cli {

struct ServedTime {
  double offset_s = 0;                    // the other server's time minus the served one
  double offset_error_s = 0;              // the most that the path between may make of that
  std::optional<double> error_bound_s{};  // of the served time; empty: it is not synchronised
};

// By the status document of our own server, asked right after the measurement on the same host.
// Empty while it serves no time, or when the document does not tell.
std::optional<ServedTime> compare(const client::Measurement& measured,
                                  const nlohmann::json& status);

std::string served_text(const ServedTime& served);  // one line with its end
nlohmann::json served_json(const ServedTime& served);

}  // namespace ntp::cli

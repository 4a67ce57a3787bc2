#include "cli/ctl_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

namespace ntp::cli {
namespace {

using nlohmann::json;

constexpr const char* kUnknown = "-";

const json& at(const json& object, std::string_view key) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::string word(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_null() ? kUnknown : value.dump();
}

std::string seconds_of(const json& value, bool with_sign = false) {
  return value.is_number() ? show_seconds(value.get<double>(), with_sign) : kUnknown;
}

std::string ppm(const json& value) {
  return value.is_number() ? fmt::format("{:+.3f}", value.get<double>()) : kUnknown;
}

// As ntpq and chronyc print it: octal, so that a question is a third of a digit.
std::string reach(const json& value) {
  return value.is_number_integer() ? fmt::format("{:o}", value.get<unsigned>()) : kUnknown;
}

using Row = std::vector<std::string>;

std::string columns(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      text += fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    text += row.back() + '\n';
  }
  return text;
}

std::string source_name(const json& source) {
  const std::string name = word(at(source, "name"));
  std::string address = word(at(source, "address"));
  if (address.ends_with(":123")) address.resize(address.size() - 4);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  return name == address ? name : name + " (" + address + ")";
}

bool is_used(const json& source) {
  const std::string verdict = word(at(source, "verdict"));
  return verdict == "selected" || verdict == "combined";
}

std::vector<Row> nameless_rows(const json& status) {
  std::vector<Row> rows;
  for (const json& source : at(status, "without_address")) {
    rows.push_back({word(at(source, "name")), word(at(source, "why"))});
  }
  return rows;
}

std::string nameless_text(const json& status) {
  const auto rows = nameless_rows(status);
  return rows.empty() ? "" : "\nWithout an address:\n" + columns(rows);
}

// The tables of sources, which are empty while the host's clock is served.
std::string table(const json& status, Row head, Row (*row_of)(const json& source)) {
  if (at(status, "clock").is_null()) return "no sources: the host's clock is served\n";
  std::vector<Row> rows{std::move(head)};
  for (const json& source : at(status, "sources")) rows.push_back(row_of(source));
  return columns(rows) + nameless_text(status);
}

// "bogus 1, loop 2"; what has not happened is left out.
std::string counts(const json& value) {
  std::string text;
  if (!value.is_object()) return kUnknown;
  for (const auto& [name, count] : value.items()) {
    if (count == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, word(count));
  }
  return text.empty() ? kUnknown : text;
}

// "NTS 8" with the cookies that are left, "key 5", or nothing.
std::string proof(const json& source) {
  const json& nts = at(source, "nts");
  if (nts.is_object()) {
    return at(nts, "has_keys") == true ? "NTS " + word(at(nts, "cookies")) : "NTS, no keys";
  }
  const json& key = at(source, "key");
  return key.is_number() ? "key " + word(key) : "none";
}

std::string sources_text(const json& status) {
  return table(status,
               {"SOURCE", "STRATUM", "POLL", "REACH", "AGE", "OFFSET", "+-", "DELAY", "PROOF",
                "REFUSED", "VERDICT"},
               [](const json& s) -> Row {
                 return {source_name(s),
                         word(at(s, "stratum")),
                         word(at(s, "poll")),
                         reach(at(s, "reach")),
                         seconds_of(at(s, "age_s")),
                         seconds_of(at(s, "offset_s"), true),
                         seconds_of(at(s, "root_distance_s")),
                         seconds_of(at(s, "delay_s")),
                         proof(s),
                         word(at(s, "refused")),
                         word(at(s, "verdict"))};
               });
}

std::string sourcestats_text(const json& status) {
  return table(status,
               {"SOURCE", "ASKED", "SAMPLES", "REJECTED", "STEPS", "FREQUENCY", "+-", "OFFSET",
                "+-", "JITTER", "REASONS"},
               [](const json& s) -> Row {
                 return {source_name(s),
                         word(at(s, "questions")),
                         word(at(s, "samples")),
                         word(at(s, "rejected")),
                         word(at(s, "steps")),
                         ppm(at(s, "frequency_ppm")) + " ppm",
                         word(at(s, "frequency_error_ppm")).substr(0, 6),
                         seconds_of(at(s, "offset_s"), true),
                         seconds_of(at(s, "offset_error_s")),
                         seconds_of(at(s, "jitter_s")),
                         counts(at(s, "rejects"))};
               });
}

std::string selection_text(const json& status) {
  return table(status, {"SOURCE", "VERDICT", "WHY"}, [](const json& s) -> Row {
    return {source_name(s), word(at(s, "verdict")), word(at(s, "why"))};
  });
}

std::string activity_text(const json& status) {
  std::vector<Row> rows;
  for (const json& source : at(status, "sources")) {
    const std::string standing = word(at(source, "standing"));
    const auto known = std::ranges::find(rows, standing, [](const Row& row) { return row.back(); });
    if (known == rows.end()) {
      rows.push_back({"1", standing});
    } else {
      known->front() = fmt::to_string(std::stoul(known->front()) + 1);
    }
  }
  if (at(status, "clock").is_null()) return "no sources: the host's clock is served\n";
  return columns(rows) + nameless_text(status);
}

std::string frequency_line(const json& clock) {
  return fmt::format("{} ppm +- {} ppm", ppm(at(clock, "frequency_ppm")),
                     word(at(clock, "frequency_error_ppm")).substr(0, 6));
}

std::string steering_line(const json& steering) {
  if (steering.is_null()) return "none, the host's clock is not touched";
  return fmt::format("{}, error {}, frequency {} ppm, {} steps, {} refused, {} disturbed",
                     word(at(steering, "state")), seconds_of(at(steering, "error_s"), true),
                     ppm(at(steering, "frequency_ppm")), word(at(steering, "steps")),
                     word(at(steering, "refusals")), word(at(steering, "disturbances")));
}

std::string tracking_text(const json& status) {
  const json& system = at(status, "system");
  const json& clock = at(status, "clock");
  const json& host = at(status, "host_clock");
  std::vector<Row> rows = {
      {"Reference ID", ": " + word(at(system, "refid"))},
      {"Stratum", ": " + word(at(system, "stratum"))},
      {"Reference time", ": " + word(at(system, "reftime"))},
      {"Leap status", ": " + word(at(system, "leap"))},
      {"Root delay", ": " + seconds_of(at(system, "root_delay_s"))},
      {"Root dispersion", ": " + seconds_of(at(system, "root_dispersion_s"))},
      {"Error bound", ": " + seconds_of(at(system, "error_bound_s"))},
  };
  if (clock.is_null()) {
    rows.push_back({"Clock", ": the host's, " + word(at(host, "standing"))});
  } else {
    rows.push_back({"Clock", ": " + word(at(clock, "state")) + ", " + word(at(clock, "why"))});
    rows.push_back({"Frequency", ": " + frequency_line(clock)});
    rows.push_back(
        {"Host's clock", ": " + seconds_of(at(clock, "host_offset_s"), true) + " against it"});
    rows.push_back({"Steering", ": " + steering_line(at(status, "steering"))});
  }
  return columns(rows);
}

std::string sources_line(const json& status) {
  const json& sources = at(status, "sources");
  const auto used = std::ranges::count_if(sources, is_used);
  const std::size_t without = at(status, "without_address").size();
  return fmt::format("sources        {} used of {}{}\n", used, sources.size() + without,
                     without > 0 ? fmt::format(", {} without an address", without) : "");
}

std::string nts_lines(const json& status) {
  const json& nts = at(status, "nts");
  if (nts.is_null()) return {};
  const json& certificate = at(nts, "certificate");
  const json& outcomes = at(nts, "outcomes");
  std::uint64_t failed = 0;
  for (const auto& [name, count] : outcomes.items()) {
    if (name != "ok" && count.is_number_unsigned()) failed += count.get<std::uint64_t>();
  }
  std::string text = fmt::format("nts            {}, {} handshakes, {} failed, {} open\n",
                                 at(nts, "up") == true ? "up" : "down", word(at(outcomes, "ok")),
                                 failed, word(at(nts, "open")));
  text += fmt::format("keys given     {}\n", counts(at(nts, "aeads")));
  if (at(certificate, "loaded") == true) {
    text += fmt::format("certificate    {}, until {}\n", word(at(certificate, "subject")),
                        word(at(certificate, "valid_until")));
  }
  if (const json& problem = at(certificate, "problem"); !problem.is_null()) {
    text += fmt::format("certificate    {}\n", word(problem));
  }
  if (const json& keys = at(nts, "keys"); keys.is_string()) {
    text += fmt::format("cookie keys    {}\n", word(keys));
  }
  if (const json& problem = at(nts, "keys_problem"); !problem.is_null()) {
    text += fmt::format("cookie keys    {}\n", word(problem));
  }
  return text;
}

std::string status_text(const json& status) {
  const json& system = at(status, "system");
  const json& packets = at(status, "packets");
  const json& clock = at(status, "clock");
  std::string text =
      fmt::format("ntp-server     {}, up {:.0f} s\n", word(at(status, "version")),
                  at(status, "uptime_s").is_number() ? at(status, "uptime_s").get<double>() : 0.0);
  text += "time           " + word(at(at(status, "ready"), "why")) + "\n";
  text +=
      fmt::format("served as      stratum {}, reference {}, leap {}\n", word(at(system, "stratum")),
                  word(at(system, "refid")), word(at(system, "leap")));
  if (clock.is_null()) {
    text += "clock          the host's, " + word(at(at(status, "host_clock"), "standing")) + "\n";
  } else {
    text += "clock          " + word(at(clock, "state")) + ", " + word(at(clock, "why")) + "\n";
    text += "frequency      " + frequency_line(clock) + "\n";
    text += sources_line(status);
  }
  text += nts_lines(status);
  text += fmt::format("packets        {} received, {} answered, {} ignored\n",
                      word(at(packets, "received")), word(at(packets, "sent")),
                      word(at(packets, "ignored")));
  const json& rate = at(status, "rate");
  if (at(rate, "threatened") == true) {
    text += "rate           requests come faster than they can be read\n";
  }
  if (at(rate, "crowd").is_string()) {
    text += fmt::format("rate           many clients seem to share {}{}\n", word(at(rate, "crowd")),
                        at(rate, "threatened") == true ? "" : "; they are all answered");
  }
  return text;
}

}  // namespace

std::string show_seconds(double s, bool with_sign) {
  struct Unit {
    double in_s;
    const char* name;
  };
  constexpr std::array<Unit, 4> kUnits = {{{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}}};
  const auto* unit =
      std::ranges::find_if(kUnits, [s](const Unit& u) { return std::abs(s) >= 0.9995 * u.in_s; });
  if (unit == kUnits.end()) unit = &kUnits.back();
  const double value = s / unit->in_s;
  return with_sign ? fmt::format("{:+.3f} {}", value, unit->name)
                   : fmt::format("{:.3f} {}", value, unit->name);
}

std::string ctl_text(Topic topic, const json& status) {
  switch (topic) {
    case Topic::status:
      return status_text(status);
    case Topic::tracking:
      return tracking_text(status);
    case Topic::sources:
      return sources_text(status);
    case Topic::sourcestats:
      return sourcestats_text(status);
    case Topic::selection:
      return selection_text(status);
    case Topic::activity:
      return activity_text(status);
    case Topic::waitsync:
      return word(at(at(status, "ready"), "why")) + "\n";
  }
  return {};
}

json ctl_json(Topic topic, const json& status) {
  std::vector<const char*> parts;
  switch (topic) {
    case Topic::status:
      return status;
    case Topic::tracking:
      parts = {"system", "clock", "host_clock", "steering"};
      break;
    case Topic::sources:
    case Topic::sourcestats:
    case Topic::selection:
    case Topic::activity:
      parts = {"clock", "sources", "without_address"};
      break;
    case Topic::waitsync:
      parts = {"ready", "system"};
      break;
  }
  json out;
  for (const char* part : {"schema", "version", "time"}) out[part] = at(status, part);
  for (const char* part : parts) out[part] = at(status, part);
  return out;
}

}  // namespace ntp::cli

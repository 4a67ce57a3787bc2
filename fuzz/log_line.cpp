// What comes from the network or from a configuration, in a line of the log: nobody forges a line,
// a field or a movement of the terminal's cursor, and a reader gets back what was said.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "check.h"
#include "control/log_format.h"
#include "input.h"

namespace {

using namespace ntp;
using Json = nlohmann::json;

bool is_utf8(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::ignore) ==
         Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string fit_name(std::string name) {
  std::ranges::replace_if(
      name,
      [](unsigned char c) { return c >= 0x80 || !(std::isalnum(c) || std::strchr("_.-", c)); },
      '_');
  return name;
}

void check_json(const control::LogEvent& event, const std::string& line) {
  const auto parsed = nlohmann::ordered_json::parse(line, nullptr, false);
  NTP_CHECK(parsed.is_object());
  NTP_CHECK(parsed.at("level").is_string());
  if (is_utf8(event.message) && event.fields.empty()) {
    NTP_CHECK(parsed.at("message").get<std::string>() == event.message);
  }
  for (const auto& [name, value] : event.fields) {
    NTP_CHECK(parsed.contains(fit_name(name)));
  }
  if (event.fields.size() == 1 && is_utf8(event.fields[0].second)) {
    const auto name = fit_name(event.fields[0].first);
    if (name == "time" || name == "level" || name == "message") return;
    NTP_CHECK(parsed.at(name).get<std::string>() == event.fields[0].second);
  }
}

// Takes ` name=value` or ` name="value"` off the front.
void take_pair(std::string_view& rest, std::string_view name) {
  NTP_CHECK(rest.starts_with(name));
  rest.remove_prefix(name.size());
  NTP_CHECK(rest.starts_with('='));
  rest.remove_prefix(1);
  std::size_t end = 0;
  if (rest.starts_with('"')) {
    end = 1;
    while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' ? 2u : 1u;
    NTP_CHECK(end < rest.size());
    ++end;
  } else {
    end = std::min(rest.find(' '), rest.size());
    NTP_CHECK(end > 0 && rest.substr(0, end).find_first_of("\"=\\") == rest.npos);
  }
  rest.remove_prefix(end);
  NTP_CHECK(rest.empty() || rest.starts_with(' '));
  if (!rest.empty()) rest.remove_prefix(1);
}

void check_logfmt(const control::LogEvent& event, std::string_view rest) {
  for (const auto* name : {"time", "level", "msg"}) take_pair(rest, name);
  for (const auto& [name, value] : event.fields) take_pair(rest, fit_name(name));
  NTP_CHECK(rest.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  control::LogEvent event;
  const auto choice = input.take<std::uint8_t>();
  const auto format = static_cast<config::LogFormat>(choice % 3);
  event.level = static_cast<config::LogLevel>(choice / 3 % 4);
  // The kernel refuses to set its clock outside of these.
  event.time = RealTime(std::chrono::nanoseconds(input.take_below(8'270'000'000'000'000'000)));
  const std::chrono::seconds offset(input.take<std::int16_t>() * 2);  // up to eighteen hours
  event.message = input.take_text();
  while (!input.empty() && event.fields.size() < 8) {
    const auto name = input.take_text();
    event.fields.emplace_back(name, input.take_text());
  }
  const std::string line = control::format_line(event, format, offset);
  NTP_CHECK(std::ranges::none_of(line, [](unsigned char c) { return c < 0x20 || c == 0x7f; }));
  NTP_CHECK(is_utf8(line));
  for (const auto* evil : {"\u0085", "\u200f", "\u2028", "\u202e", "\u2067", "\ufeff"}) {
    NTP_CHECK(line.find(evil) == line.npos);
  }
  if (format == config::LogFormat::json) check_json(event, line);
  if (format == config::LogFormat::logfmt) check_logfmt(event, line);
  return 0;
}

// Our own variables, and those of the images that people come from (cturra/ntp, dockurr/chrony).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "config/entries.h"
#include "config/source_fields.h"
#include "config/suggest.h"
#include "config/units.h"

namespace ntp::config {
namespace {

constexpr std::string_view kPrefix = "NTP_SERVER_";
using Variables = std::map<std::string_view, std::string_view>;  // sorted: messages have an order

// Variables of other images that mean nothing here but whose effect somebody may expect.
struct Foreign {
  std::string_view name;
  bool is_switch;  // then only a true one is worth a word
  std::string_view warning;
};
constexpr std::array<Foreign, 3> kForeign{{
    {"ENABLE_NTS", true, "ENABLE_NTS is set, but this version has no NTS: replies are not signed"},
    {"ENABLE_SYSCLK", true,
     "ENABLE_SYSCLK is set, but the host's clock is set only where clock.steer says so"},
    {"NTP_DIRECTIVES", false, "NTP_DIRECTIVES is set, but chrony's directives mean nothing here"},
}};

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// "123_UDP", "9559_TCP_ADDR"
bool is_port_of_service(std::string_view text) {
  const auto digits = text.substr(0, text.find('_'));
  if (!all_digits(digits)) return false;
  static constexpr std::array<std::string_view, 3> kProtocols{"_TCP", "_UDP", "_SCTP"};
  const auto rest = text.substr(digits.size());
  return std::ranges::any_of(kProtocols,
                             [rest](auto protocol) { return rest.starts_with(protocol); });
}

// Kubernetes describes each service of the namespace to every pod, and Docker each --link: with a
// service called ntp-server, or ntp-server-http, these names begin like ours.
bool is_platforms(std::string_view name, std::string_view value) {
  if (name.find("_SERVICE_HOST") != std::string_view::npos) return true;
  if (name.find("_SERVICE_PORT") != std::string_view::npos) return true;
  if (name.ends_with("_PORT") && value.find("://") != std::string_view::npos) return true;
  if (name.starts_with("NTP_SERVER_ENV_")) return true;
  if (name == "NTP_SERVER_NAME" && value.starts_with('/')) return true;
  for (auto at = name.find("_PORT_"); at != std::string_view::npos;
       at = name.find("_PORT_", at + 1)) {
    if (is_port_of_service(name.substr(at + 6))) return true;
  }
  return false;
}

Origin origin_of(std::string_view variable) {
  return {.kind = Origin::Kind::environment, .name = std::string(variable)};
}

Entry entry_of(const Option& option, std::string_view variable, std::string_view text) {
  return {.option = &option,
          .value = {.bare = true, .text = std::string(text)},
          .origin = origin_of(variable)};
}

// cturra/ntp hands 0-3 to chronyd -L: 0 is its informational level, 1 warnings, 2 and 3 errors.
// Other programs share the name, so an unknown word is no reason to refuse the start.
void read_log_level(const Option& option, std::string_view text, Entries& out) {
  static constexpr std::array<std::string_view, 4> kNumbered{"info", "warning", "error", "error"};
  std::string word = lower_case(text);
  if (word == "warn") word = "warning";
  if (word == "err") word = "error";
  if (word.size() == 1 && word[0] >= '0' && word[0] <= '3') word = kNumbered[word[0] - '0'];
  if (std::ranges::find(option.words, word) != option.words.end()) {
    out.entries.push_back(entry_of(option, option.alias, word));
  } else {
    out.warnings.push_back(
        fmt::format("{} is {}, which is ignored; it may be {}, or a number from 0 to 3",
                    option.alias, quote(text), option.expects));
  }
}

void warn_of_foreign(const Variables& variables, Entries& out) {
  for (const auto& foreign : kForeign) {
    const auto found = variables.find(foreign.name);
    if (found == variables.end()) continue;
    if (foreign.is_switch && !parse_boolean(found->second).value_or(true)) continue;
    out.warnings.emplace_back(foreign.warning);
  }
}

// The prefix is left out of the comparison: it would make every name look alike.
std::string unknown_hint(std::string_view name) {
  const auto written = name.substr(kPrefix.size());
  if (written.starts_with("SOURCE")) {
    return "sources are named by NTP_SERVERS, by --source or in a file";
  }
  std::vector<std::string> names;
  for (const auto& option : options()) {
    // The section is easily forgotten: NTP_SERVER_STRATUM.
    if (written == upper_case(option.name())) {
      return fmt::format("did you mean {}?", quote(environment_name(option)));
    }
    names.push_back(environment_name(option).substr(kPrefix.size()));
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  const auto meant = nearest(written, known);
  if (meant.empty()) return {};
  return fmt::format("did you mean {}?", quote(fmt::format("{}{}", kPrefix, meant)));
}

void refuse_unknown(const Variables& variables, const std::vector<std::string>& known,
                    Entries& out) {
  for (const auto& [name, value] : variables) {
    if (!name.starts_with(kPrefix) || is_platforms(name, value)) continue;
    if (std::ranges::find(known, name) != known.end()) continue;
    out.problems.push_back(
        {.where = origin_of(name), .what = "unknown setting", .hint = unknown_hint(name)});
  }
}

}  // namespace

Entries read_environment(const std::vector<std::pair<std::string, std::string>>& environment) {
  Entries out;
  Variables variables;
  for (const auto& [name, value] : environment) {
    // Compose and Swarm files write NAME=${NAME:-}: empty means not set.
    if (!value.empty()) variables.emplace(name, value);
  }
  std::vector<std::string> names;
  for (const auto& option : options()) {
    names.push_back(environment_name(option));
    if (const auto own = variables.find(names.back()); own != variables.end()) {
      out.entries.push_back(entry_of(option, own->first, own->second));
    } else if (const auto alias = variables.find(option.alias); alias != variables.end()) {
      read_log_level(option, alias->second, out);
    }
  }
  if (const auto servers = variables.find("NTP_SERVERS"); servers != variables.end()) {
    add_source_words(servers->second, origin_of(servers->first), out);
  }
  refuse_unknown(variables, names, out);
  warn_of_foreign(variables, out);
  return out;
}

}  // namespace ntp::config

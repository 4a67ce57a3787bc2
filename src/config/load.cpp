#include "config/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "config/access_rules.h"
#include "config/entries.h"
#include "config/source_fields.h"
#include "config/units.h"

namespace ntp::config {
namespace {

std::size_t index_of(const Option& option) {
  return static_cast<std::size_t>(&option - options().data());
}

// Tables come sorted by name.
bool by_place(const Problem& a, const Problem& b) {
  return std::tie(a.where.line, a.where.column, a.what) <
         std::tie(b.where.line, b.where.column, b.what);
}

// Judges the entries one by one; a later one wins.
void apply(const Entries& source, Loaded& loaded, Problems& problems) {
  const auto first = problems.size();
  problems.insert(problems.end(), source.problems.begin(), source.problems.end());
  for (const auto& entry : source.entries) {
    std::vector<Fault> faults;
    entry.option->read(loaded.settings, {*entry.option, entry.value, faults});
    for (auto& fault : faults) {
      Origin where = entry.origin;
      if (fault.line != 0) {
        where.line = fault.line;
        where.column = fault.column;
      }
      problems.push_back({.where = std::move(where),
                          .what = std::move(fault.what),
                          .hint = std::move(fault.hint)});
    }
    loaded.origins[index_of(*entry.option)] = entry.origin;
  }
  apply_sources(source, loaded, problems);
  if (!problems.empty() && problems.back().where.kind == Origin::Kind::file) {
    std::sort(problems.begin() + static_cast<std::ptrdiff_t>(first), problems.end(), by_place);
  }
  auto& warnings = loaded.settings.warnings;
  warnings.insert(warnings.end(), source.warnings.begin(), source.warnings.end());
}

void check_orphan(const Loaded& loaded, Problems& problems) {
  if (loaded.settings.clock.unsynchronised != clock::Unsynchronised::orphan) return;
  if (loaded.settings.sources.empty()) {
    problems.push_back({.where = origin_of(loaded, "clock.unsynchronised"),
                        .what = "clock.unsynchronised is \"orphan\", but there are no sources",
                        .hint = "orphans agree with their sources: name the other servers"});
  }
  const int stratum = loaded.settings.server.local_stratum;
  if (stratum >= 2 && stratum <= 14) return;
  problems.push_back(
      {.where = origin_of(loaded, "server.local_stratum"),
       .what = fmt::format("server.local_stratum is {} and clock.unsynchronised is \"orphan\"",
                           stratum),
       .hint = "write 2 to 14: sources with the true time are below it, who follows is one above"});
}

void check_nts(Loaded& loaded, Problems& problems) {
  const auto& nts = loaded.settings.nts;
  if (nts.certificate.empty() != nts.key.empty()) {
    const bool lacks_key = nts.key.empty();
    problems.push_back(
        {.where = origin_of(loaded, lacks_key ? "nts.certificate" : "nts.key"),
         .what = lacks_key ? "nts.certificate is set, but nts.key is not"
                           : "nts.key is set, but nts.certificate is not",
         .hint = "NTS needs both; `ntp-server ca init` makes a pair for those who have none"});
  }
  if (nts.cookie_secret_file.empty() && !nts.cookie_secret_previous_file.empty()) {
    problems.push_back(
        {.where = origin_of(loaded, "nts.cookie_secret_previous_file"),
         .what = "nts.cookie_secret_previous_file is set, but nts.cookie_secret_file is not",
         .hint = "the present secret belongs into nts.cookie_secret_file"});
  }
  if (!nts.enabled() && !nts.cookie_secret_file.empty()) {
    loaded.settings.warnings.emplace_back(
        "nts.cookie_secret_file has no effect: without nts.certificate and nts.key NTS is off");
  }
}

void check_source_keys(const Loaded& loaded, Problems& problems) {
  for (std::size_t i = 0; i < loaded.settings.sources.size(); ++i) {
    const auto& source = loaded.settings.sources[i];
    if (source.key == 0 || !loaded.settings.server.keys_file.empty()) continue;
    const auto* field = find_source_field("key");
    const auto place = static_cast<std::size_t>(field - source_fields().data());
    problems.push_back(
        {.where = loaded.source_origins[i][place],
         .what = fmt::format("source.key is {}, but server.keys_file is not set", source.key),
         .hint = "the file that the key is in belongs there"});
  }
}

// What no single value shows.
void check_together(Loaded& loaded, Problems& problems) {
  const auto& host = loaded.settings.host_clock;
  if (host.error_floor >= host.max_root_distance) {
    const auto& limit = origin_of(loaded, "host_clock.max_root_distance");
    problems.push_back(
        {.where = limit.kind == Origin::Kind::fallback ? origin_of(loaded, "host_clock.error_floor")
                                                       : limit,
         .what = fmt::format(
             "host_clock.error_floor ({}) is not below host_clock.max_root_distance ({})",
             show_duration(host.error_floor), show_duration(host.max_root_distance)),
         .hint = "the host's clock could never count as synchronised"});
  }
  int votes = 0;
  for (const auto& source : loaded.settings.sources) {
    if (!source.noselect) votes += source.mode == client::SourceMode::pool ? source.max_sources : 1;
  }
  const int minsources = loaded.settings.clock.minsources;
  if (!loaded.settings.sources.empty() && minsources > votes) {
    problems.push_back(
        {.where = origin_of(loaded, "clock.minsources"),
         .what = fmt::format("clock.minsources ({}) is above the number of sources that can be "
                             "believed ({})",
                             minsources, votes),
         .hint = "a server counts once, a pool max_sources times, noselect not at all"});
  }
  check_orphan(loaded, problems);
  check_nts(loaded, problems);
  check_source_keys(loaded, problems);
  const auto& clock = loaded.settings.clock;
  if (clock.steer == clock::Actuator::system && loaded.settings.sources.empty()) {
    problems.push_back({.where = origin_of(loaded, "clock.steer"),
                        .what = "clock.steer is \"system\", but there is no source",
                        .hint = "nothing is known that the host's clock could be led to"});
  }
  const auto& server = loaded.settings.server;
  auto& warnings = loaded.settings.warnings;
  if (host.error_unknown >= host.max_root_distance) {
    warnings.push_back(fmt::format(
        "host_clock.error_unknown ({}) is not below host_clock.max_root_distance ({}): a host "
        "whose time daemon resets the kernel's bound to zero never counts as synchronised",
        show_duration(host.error_unknown), show_duration(host.max_root_distance)));
  }
  if (server.unsynchronised == clock::Unsynchronised::local &&
      server.local_stratum <= server.stratum) {
    warnings.push_back(fmt::format(
        "server.local_stratum ({}) is not above server.stratum ({}): clients cannot tell by the "
        "stratum that the clock is not synchronised",
        server.local_stratum, server.stratum));
  }
  if (server.uid == 0) {
    warnings.emplace_back("server.user is root: a server started as root keeps its uid");
  }
}

}  // namespace

const Origin& origin_of(const Loaded& loaded, std::string_view key) {
  const auto* option = find_option(key);
  NTP_CHECK(option != nullptr);
  return loaded.origins[index_of(*option)];
}

std::string to_string(const Origin& origin) {
  switch (origin.kind) {
    case Origin::Kind::fallback:
      return "default";
    case Origin::Kind::environment:
      return "environment " + origin.name;
    case Origin::Kind::flag:
      return "flag " + origin.name;
    case Origin::Kind::file:
      break;
  }
  if (origin.line == 0) return origin.name;
  return fmt::format("{}:{}:{}", origin.name, origin.line, origin.column);
}

std::string to_string(const Problem& problem) {
  const bool flag = problem.where.kind == Origin::Kind::flag;
  return fmt::format("{}: {}{}{}", flag ? problem.where.name : to_string(problem.where),
                     problem.what, problem.hint.empty() ? "" : "; ", problem.hint);
}

int exit_code(std::span<const Problem> problems) {
  if (std::ranges::any_of(problems, &Problem::no_permission)) return kExitNoPermission;
  const bool only_flags = std::ranges::all_of(
      problems, [](const Problem& problem) { return problem.where.kind == Origin::Kind::flag; });
  return only_flags ? kExitUsage : kExitConfig;
}

Entries read_flags(const std::vector<FlagValue>& flags) {
  Entries out;
  for (const auto& flag : flags) {
    if (flag.key == source_fields().front().option.key) {
      add_source_words(flag.value, {.kind = Origin::Kind::flag, .name = flag.flag}, out);
      continue;
    }
    const auto* option = find_option(flag.key);
    NTP_CHECK(option != nullptr);
    const auto earlier = std::ranges::find(out.entries, option, &Entry::option);
    if (earlier == out.entries.end()) {
      out.entries.push_back({.option = option,
                             .value = {.bare = true, .text = flag.value},
                             .origin = {.kind = Origin::Kind::flag, .name = flag.flag}});
    } else if (flag.key == "server.listen") {  // a list: each flag adds to it
      earlier->value.text += ',' + flag.value;
    } else {
      out.problems.push_back(
          {.where = earlier->origin, .what = "given twice", .hint = "once is enough"});
    }
  }
  return out;
}

namespace {

Loaded apply_all(const Sources& sources, Problems& problems) {
  Loaded loaded{.settings = defaults(), .origins = std::vector<Origin>(options().size())};
  for (const auto& file : sources.files) apply(read_toml(file), loaded, problems);
  apply(read_environment(sources.environment), loaded, problems);
  apply(read_flags(sources.flags), loaded, problems);
  return loaded;
}

}  // namespace

namespace {

void load_access(const Sources& sources, Loaded& loaded, Problems& problems) {
  AccessFile rules;
  const std::string& path = loaded.settings.access.rules;
  if (!path.empty() && sources.read_file != nullptr) {
    const auto text = sources.read_file(path, kLargestAccessFile);
    if (text) {
      rules = read_access_file(*text, problems);
    } else {
      problems.push_back(text.error());
    }
  }
  loaded.settings.access.more = rules.rules;
  check_access(loaded, rules, problems);
}

}  // namespace

Settings load_what_is_good(const Sources& sources) {
  Problems ignored;
  return apply_all(sources, ignored).settings;
}

std::expected<Loaded, Problems> load(const Sources& sources) {
  Problems problems;
  Loaded loaded = apply_all(sources, problems);
  loaded.settings.server.listen_is_default =
      origin_of(loaded, "server.listen").kind == Origin::Kind::fallback;
  loaded.settings.nts.listen_is_default =
      origin_of(loaded, "nts.listen").kind == Origin::Kind::fallback;
  if (problems.empty()) load_access(sources, loaded, problems);
  if (problems.empty()) check_together(loaded, problems);
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return loaded;
}

std::expected<Loaded, Problems> load_text(std::string_view toml, std::string_view name) {
  return load({.files = {{.name = std::string(name), .text = std::string(toml)}}});
}

}  // namespace ntp::config

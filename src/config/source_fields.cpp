#include "config/source_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "config/readers.h"
#include "config/units.h"

namespace ntp::config {
namespace {

using client::SourceMode;
using client::SourceOptions;
using std::string_view;
using namespace std::chrono_literals;

constexpr std::uint16_t kNtpPort = 123;
constexpr std::array<string_view, 1> kSystemRoots{"system"};
constexpr std::array<string_view, 2> kModes{"server", "pool"};
static_assert(kModes[static_cast<std::size_t>(SourceMode::pool)] == "pool");

constexpr std::int64_t ns(std::chrono::nanoseconds duration) { return duration.count(); }

std::string show_boolean(bool value) { return value ? "true" : "false"; }

std::string show_host(const SourceOptions& source) {
  if (source.port == kNtpPort) return source.host;
  if (const auto address = parse_ip(source.host)) {
    return to_string(Endpoint{.address = *address, .port = source.port});
  }
  return fmt::format("{}:{}", source.host, source.port);
}

// clang-format off
constexpr std::array kFields{
    SourceField{
        .option = {.key = "source.address", .fallback = "",
                   .flag = "--source", .argument = "[nts:][pool:]HOST[:PORT]",
                   .expects = "NAME, NAME:PORT, ADDR, ADDR:PORT or [IPV6]:PORT",
                   .help = "name or address of the server or pool, port 123 where none is written",
                   .reloadable = true},
        .read = [](SourceOptions& s, const Given& g) {
          HostPort host{.host = s.host, .port = s.port};
          read_host(g, kNtpPort, host);
          s.host = host.host;
          s.port = host.port;
        },
        .show = [](const SourceOptions& s) { return quote(show_host(s)); }},
    SourceField{
        .option = {.key = "source.mode", .fallback = "server",
                   .expects = R"("server" or "pool")",
                   .help = "a server is one host, of whose addresses one is asked and the others "
                           "are spare; a pool is a name of many hosts, of which up to max_sources "
                           "are asked and replaced when they are no good",
                   .reloadable = true, .words = kModes},
        .read = [](SourceOptions& s, const Given& g) {
          if (const auto index = read_word(g)) s.mode = static_cast<SourceMode>(*index);
        },
        .show = [](const SourceOptions& s) {
          return quote(kModes[static_cast<std::size_t>(s.mode)]);
        }},
    SourceField{
        .option = {.key = "source.max_sources", .fallback = "4",
                   .expects = "a whole number from 1 to 16",
                   .help = "of a pool: how many of its addresses are asked",
                   .reloadable = true, .least = 1, .most = client::kMostPoolMembers},
        .read = [](SourceOptions& s, const Given& g) { read_integer(g, s.max_sources); },
        .show = [](const SourceOptions& s) { return std::to_string(s.max_sources); }},
    SourceField{
        .option = {.key = "source.iburst", .fallback = "true",
                   .expects = "true or false",
                   .help = "begin with fourteen questions, seven in the first twelve seconds, instead of four minutes of polls",
                   .reloadable = true},
        .read = [](SourceOptions& s, const Given& g) { read_boolean(g, s.iburst); },
        .show = [](const SourceOptions& s) { return show_boolean(s.iburst); }},
    SourceField{
        .option = {.key = "source.minpoll", .fallback = "6",
                   .expects = "a whole number from -6 to 17",
                   .help = "shortest poll interval, as a power of two in seconds: 6 is 64 s, -2 is "
                           "a quarter of a second",
                   .reloadable = true, .least = client::kLeastPoll, .most = client::kMostPoll},
        .read = [](SourceOptions& s, const Given& g) { read_integer(g, s.minpoll); },
        .show = [](const SourceOptions& s) { return std::to_string(s.minpoll); }},
    SourceField{
        .option = {.key = "source.maxpoll", .fallback = "10",
                   .expects = "a whole number from -6 to 17",
                   .help = "longest poll interval, likewise",
                   .reloadable = true, .least = client::kLeastPoll, .most = client::kMostPoll},
        .read = [](SourceOptions& s, const Given& g) { read_integer(g, s.maxpoll); },
        .show = [](const SourceOptions& s) { return std::to_string(s.maxpoll); }},
    SourceField{
        .option = {.key = "source.prefer", .fallback = "false",
                   .expects = "true or false",
                   .help = "follow it before others that are as right",
                   .reloadable = true},
        .read = [](SourceOptions& s, const Given& g) { read_boolean(g, s.prefer); },
        .show = [](const SourceOptions& s) { return show_boolean(s.prefer); }},
    SourceField{
        .option = {.key = "source.trust", .fallback = "false",
                   .expects = "true or false",
                   .help = "believe it even when a majority of the others says otherwise",
                   .reloadable = true},
        .read = [](SourceOptions& s, const Given& g) { read_boolean(g, s.trust); },
        .show = [](const SourceOptions& s) { return show_boolean(s.trust); }},
    SourceField{
        .option = {.key = "source.noselect", .fallback = "false",
                   .expects = "true or false",
                   .help = "ask it and show what it says, but never follow it",
                   .reloadable = true},
        .read = [](SourceOptions& s, const Given& g) { read_boolean(g, s.noselect); },
        .show = [](const SourceOptions& s) { return show_boolean(s.noselect); }},
    SourceField{
        .option = {.key = "source.require", .fallback = "false",
                   .expects = "true or false",
                   .help = "the time is not believed unless this source, or another with require, "
                           "agrees with the majority",
                   .reloadable = true},
        .read = [](SourceOptions& s, const Given& g) { read_boolean(g, s.require); },
        .show = [](const SourceOptions& s) { return show_boolean(s.require); }},
    SourceField{
        .option = {.key = "source.version", .fallback = "4",
                   .expects = "3 or 4",
                   .help = "NTP version of the requests",
                   .reloadable = true, .least = 3, .most = 4},
        .read = [](SourceOptions& s, const Given& g) { read_integer(g, s.version); },
        .show = [](const SourceOptions& s) { return std::to_string(s.version); }},
    SourceField{
        .option = {.key = "source.nts", .fallback = "false",
                   .expects = "true or false",
                   .help = "have it prove itself by NTS: keys and cookies are established over TLS; "
                           "without them nothing is asked, and nothing is ever believed without "
                           "proof",
                   .reloadable = true},
        .read = [](SourceOptions& s, const Given& g) { read_boolean(g, s.nts); },
        .show = [](const SourceOptions& s) { return show_boolean(s.nts); }},
    SourceField{
        .option = {.key = "source.nts_port", .fallback = "4460",
                   .expects = "a whole number from 1 to 65535",
                   .help = "with nts: TCP port of its key establishment",
                   .reloadable = true, .least = 1, .most = 65535},
        .read = [](SourceOptions& s, const Given& g) { read_integer(g, s.nts_port); },
        .show = [](const SourceOptions& s) { return std::to_string(s.nts_port); }},
    SourceField{
        .option = {.key = "source.nts_ca", .fallback = "system",
                   .expects = R"("system" or an absolute path)",
                   .help = "with nts: PEM file of the authorities that its certificate must be of, "
                           "for example of `ntp-server ca init`; system is those that the "
                           "machine trusts",
                   .reloadable = true, .most = kLongestPath, .words = kSystemRoots},
        .read = [](SourceOptions& s, const Given& g) { 
          std::string path = s.nts_ca;
          read_path(g, path);
          s.nts_ca = path == kSystemRoots[0] ? "" : path;
        },
        .show = [](const SourceOptions& s) {
          return quote(s.nts_ca.empty() ? kSystemRoots[0] : string_view(s.nts_ca));
        }},
    SourceField{
        .option = {.key = "source.key", .fallback = "0",
                   .expects = "a whole number from 0 to 2147483647",
                   .help = "number of the symmetric key in server.keys_file that questions and "
                           "answers are signed with; 0 is none",
                   .reloadable = true, .least = 0, .most = 2147483647},
        .read = [](SourceOptions& s, const Given& g) { read_integer(g, s.key); },
        .show = [](const SourceOptions& s) { return std::to_string(s.key); }},
    SourceField{
        .option = {.key = "source.max_delay", .fallback = "3s",
                   .expects = R"(a duration from "1us" to "16s")",
                   .help = "answers whose round trip takes longer are refused",
                   .reloadable = true, .least = ns(1us), .most = ns(16s)},
        .read = [](SourceOptions& s, const Given& g) { read_duration(g, s.max_delay); },
        .show = [](const SourceOptions& s) { return quote(show_duration(s.max_delay)); }},
};
// clang-format on

bool is_blank_or_comma(char c) { return c == ',' || c == ' ' || c == '\t' || c == '\n'; }

bool all_digits(string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_public_pool(string_view word) {
  const std::string name = lower_case(word.substr(0, word.find(':')));
  return name == "pool.ntp.org" || name.ends_with(".pool.ntp.org") ||
         name.ends_with("pool.ntp.org.");
}

// Where the field was written, or else the source as a whole.
const Origin& place_of(const SourceEntry& entry, string_view name) {
  const auto* field = find_source_field(name);
  NTP_CHECK(field != nullptr);
  const auto found = std::ranges::find(entry.values, field, &SourceValue::field);
  return found == entry.values.end() ? entry.origin : found->origin;
}

void check_proof(const SourceEntry& entry, const SourceOptions& source, Problems& problems) {
  if (source.nts && source.key != 0) {
    problems.push_back({.where = place_of(entry, "key"),
                        .what = "source.nts and source.key are both set",
                        .hint = "NTS has keys of its own: remove one of them"});
  }
  if (source.nts && source.version != 4) {
    problems.push_back({.where = place_of(entry, "version"),
                        .what = fmt::format("source.nts with source.version {}", source.version),
                        .hint = "NTS is of version 4 only"});
  }
  if (!source.nts && !source.nts_ca.empty()) {  // somebody meant it to be proved
    problems.push_back({.where = place_of(entry, "nts_ca"),
                        .what = "source.nts_ca is set, but source.nts is not",
                        .hint = "write nts = true, or remove it"});
  }
}

// What no single value shows.
void check_source(const SourceEntry& entry, const SourceOptions& source, Problems& problems) {
  if (source.minpoll > source.maxpoll) {
    const bool min_written = &place_of(entry, "minpoll") != &entry.origin;
    problems.push_back({.where = place_of(entry, min_written ? "minpoll" : "maxpoll"),
                        .what = fmt::format("source.minpoll ({}) is above source.maxpoll ({})",
                                            source.minpoll, source.maxpoll),
                        .hint = "write both"});
  }
  if (source.noselect && (source.prefer || source.trust || source.require)) {
    problems.push_back(
        {.where = place_of(entry, "noselect"),
         .what = fmt::format("source.noselect contradicts source.{}", source.prefer  ? "prefer"
                                                                      : source.trust ? "trust"
                                                                                     : "require"),
         .hint = "remove one of them"});
  }
  check_proof(entry, source, problems);
  if (source.mode == SourceMode::pool && parse_ip(source.host)) {
    problems.push_back(
        {.where = place_of(entry, "mode"),
         .what = fmt::format("{} is an address, which cannot be a pool", quote(source.host)),
         .hint = R"(a pool is a name; write mode = "server")"});
  }
}

SourceOptions read_source(const SourceEntry& entry, std::vector<Origin>& origins,
                          Problems& problems) {
  SourceOptions source;
  origins.assign(source_fields().size(), Origin{});
  const auto before = problems.size();
  for (const auto& written : entry.values) {
    std::vector<Fault> faults;
    written.field->read(source, {written.field->option, written.value, faults});
    for (auto& fault : faults) {
      problems.push_back(
          {.where = written.origin, .what = std::move(fault.what), .hint = std::move(fault.hint)});
    }
    origins[static_cast<std::size_t>(written.field - source_fields().data())] = written.origin;
  }
  const bool named = std::ranges::find(entry.values, &source_fields().front(),
                                       &SourceValue::field) != entry.values.end();
  if (!named) {
    problems.push_back({.where = entry.origin,
                        .what = "a source without an address",
                        .hint = R"(write address = "NAME", or ADDR)"});
  } else if (problems.size() == before) {
    check_source(entry, source, problems);
  }
  return source;
}

}  // namespace

std::span<const SourceField> source_fields() { return kFields; }

const SourceField* find_source_field(string_view name) {
  const auto found = std::ranges::find_if(
      kFields, [name](const SourceField& field) { return field.option.name() == name; });
  return found == kFields.end() ? nullptr : &*found;
}

void add_source_words(string_view text, const Origin& origin, Entries& out) {
  static constexpr string_view kPool = "pool:";
  static constexpr string_view kNts = "nts:";
  // Without a word an empty variable names nothing and leaves the file's sources; an empty flag is
  // a mistake, which the empty address shows.
  bool more = origin.kind == Origin::Kind::flag;
  while (true) {
    const auto start = std::ranges::find_if_not(text, is_blank_or_comma);
    text.remove_prefix(static_cast<std::size_t>(start - text.begin()));
    if (text.empty() && !more) return;
    more = false;
    const auto end = std::ranges::find_if(text, is_blank_or_comma);
    string_view word = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text.remove_prefix(word.size());
    while (word.starts_with('"')) word.remove_prefix(1);
    while (word.ends_with('"')) word.remove_suffix(1);
    if (word.starts_with("127.127.")) {  // ntpd's local clock, by which those images mean LOCL
      out.warnings.push_back(fmt::format(
          "{} is no server: the local clock is served by server.unsynchronised", quote(word)));
      continue;
    }
    const bool nts = word.starts_with(kNts) && !all_digits(word.substr(kNts.size()));
    if (nts) word.remove_prefix(kNts.size());
    // "pool:123" is a host that is called pool.
    const bool prefixed = word.starts_with(kPool) && !all_digits(word.substr(kPool.size()));
    if (prefixed) word.remove_prefix(kPool.size());
    const bool pool = prefixed || is_public_pool(word);
    const auto value = [&origin](const char* name, string_view written) {
      return SourceValue{.field = find_source_field(name),
                         .value = {.bare = true, .text = std::string(written)},
                         .origin = origin};
    };
    SourceEntry entry{.origin = origin, .values = {value("address", word)}};
    if (pool) entry.values.push_back(value("mode", "pool"));
    if (nts) entry.values.push_back(value("nts", "true"));
    if (!out.sources) out.sources.emplace();
    out.sources->push_back(std::move(entry));
  }
}

void apply_sources(const Entries& source, Loaded& loaded, Problems& problems) {
  if (!source.sources) return;
  auto& sources = loaded.settings.sources;
  sources.clear();
  loaded.source_origins.clear();
  for (const auto& entry : *source.sources) {
    if (sources.size() == kMostSources) {
      problems.push_back({.where = entry.origin,
                          .what = fmt::format("over {} sources", kMostSources),
                          .hint = "a handful is enough"});
      return;
    }
    std::vector<Origin> origins;
    const auto before = problems.size();
    SourceOptions options = read_source(entry, origins, problems);
    if (problems.size() != before) continue;
    const bool twice = std::ranges::any_of(sources, [&options](const SourceOptions& other) {
      return other.host == options.host && other.port == options.port;
    });
    if (twice && entry.origin.kind == Origin::Kind::file) {
      problems.push_back({.where = place_of(entry, "address"),
                          .what = fmt::format("source {} is written twice", quote(options.host)),
                          .hint = "remove one of them"});
    } else if (twice) {
      loaded.settings.warnings.push_back(fmt::format("{} names {} twice; it is used once",
                                                     entry.origin.name, quote(options.host)));
    } else {
      sources.push_back(std::move(options));
      loaded.source_origins.push_back(std::move(origins));
    }
  }
}

}  // namespace ntp::config

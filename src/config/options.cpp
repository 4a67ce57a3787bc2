#include "config/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "config/access_rules.h"
#include "config/readers.h"
#include "config/units.h"

namespace ntp::config {
namespace {

using std::string_view;
using namespace std::chrono_literals;

constexpr std::uint16_t kNtpPort = 123;
constexpr std::uint16_t kKePort = 4460;  // RFC 8915 section 7.1
constexpr std::uint16_t kHttpPort = 9559;

constexpr std::int64_t ns(std::chrono::nanoseconds duration) { return duration.count(); }

// Each list of words is in the order of its enumeration.
constexpr std::array<string_view, 3> kUnsynchronised{"local", "refuse", "orphan"};
constexpr std::array<string_view, 2> kHostUnsynchronised{"local", "refuse"};
constexpr std::array<string_view, 2> kActuators{"none", "system"};
constexpr std::array<string_view, 3> kSandboxes{"auto", "off", "required"};
constexpr std::array<string_view, 2> kCertificateTimes{"always", "synchronised"};
constexpr std::array<string_view, 4> kLevels{"error", "warning", "info", "debug"};
constexpr std::array<string_view, 3> kFormats{"text", "json", "logfmt"};
constexpr std::array<string_view, 1> kNoKeysFile{""};
constexpr std::array<string_view, 2> kSocketWords{"", "off"};
constexpr std::array<string_view, 2> kLeapWords{"system", "off"};
constexpr std::array<string_view, 2> kStateWords{"", "off"};
constexpr std::array<string_view, 3> kUnlisted{"auto", "allow", "deny"};
constexpr std::array<string_view, 1> kRulesWords{""};
constexpr std::array<string_view, 1> kNoFile{""};
static_assert(kUnsynchronised[static_cast<std::size_t>(clock::Unsynchronised::orphan)] == "orphan");
static_assert(kActuators[static_cast<std::size_t>(clock::Actuator::system)] == "system");
static_assert(kCertificateTimes[static_cast<std::size_t>(CertificateTimes::synchronised)] ==
              "synchronised");
static_assert(kSandboxes[static_cast<std::size_t>(Sandbox::required)] == "required");
static_assert(kLevels[static_cast<std::size_t>(LogLevel::debug)] == "debug");
static_assert(kUnlisted[static_cast<std::size_t>(Unlisted::deny)] == "deny");
static_assert(kFormats[static_cast<std::size_t>(LogFormat::logfmt)] == "logfmt");

template <typename Enum>
void read_enum(const Given& given, Enum& out) {
  if (const auto index = read_word(given)) out = static_cast<Enum>(*index);
}

template <typename Enum>
std::string show_enum(std::span<const string_view> words, Enum value) {
  return quote(words[static_cast<std::size_t>(value)]);
}

std::string show_boolean(bool value) { return value ? "true" : "false"; }

std::string show_endpoints(const std::vector<Endpoint>& endpoints) {
  std::string list;
  for (const auto& endpoint : endpoints) {
    list += fmt::format("{}{}", list.empty() ? "" : ", ", quote(to_string(endpoint)));
  }
  return fmt::format("[{}]", list);
}

std::string show_rules(const std::vector<server::AccessRule>& rules) {
  std::string list;
  for (const auto& rule : rules) {
    list += fmt::format("{}{}", list.empty() ? "" : ", ", quote(to_string(rule)));
  }
  return fmt::format("[{}]", list);
}

constexpr string_view kRulesForm = "a list of PREFIX or PREFIX@LISTENER";
constexpr string_view kEndpointForm = "a list of ADDR, ADDR:PORT or [IPV6]:PORT";

// clang-format off
constexpr std::array kOptions{
    Option{.key = "server.listen", .fallback = "0.0.0.0:123,[::]:123",
           .flag = "--listen", .argument = "ADDR[:PORT]", .expects = kEndpointForm,
           .help = "UDP addresses to answer on, port 123 where none is written; "
                   "a family that the machine lacks is tolerated in the default only",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_endpoints(g, kNtpPort, s.server.listen); },
           .show = [](const Settings& s) { return show_endpoints(s.server.listen); }},
    Option{.key = "server.threads", .fallback = "auto",
           .flag = "--threads", .argument = "N|auto",
           .expects = R"("auto" or a whole number from 0 to 64)",
           .help = "worker threads for each address; auto is one per usable CPU, at most 8; "
                   "0 does everything in one thread",
           .least = 0, .most = 64,
           .read = [](Settings& s, const Given& g) { read_threads(g, s.server.threads); },
           .show = [](const Settings& s) {
             return s.server.threads ? std::to_string(*s.server.threads) : quote("auto");
           }},
    Option{.key = "server.stratum", .fallback = "3", .flag = "", .argument = "",
           .expects = "a whole number from 1 to 15",
           .help = "stratum while the host's clock is synchronised",
           .reloadable = true, .least = 1, .most = 15,
           .read = [](Settings& s, const Given& g) { read_integer(g, s.server.stratum); },
           .show = [](const Settings& s) { return std::to_string(s.server.stratum); }},
    Option{.key = "server.unsynchronised", .fallback = "local", .flag = "", .argument = "",
           .expects = R"("local" or "refuse")",
           .help = "while the host's clock is not synchronised: local serves it all the same at "
                   "local_stratum with reference LOCL, refuse answers that there is no time",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_enum(g, s.server.unsynchronised); },
           .show = [](const Settings& s) {
             return show_enum(kUnsynchronised, s.server.unsynchronised);
           },
           .words = kHostUnsynchronised},
    Option{.key = "server.local_stratum", .fallback = "10", .flag = "", .argument = "",
           .expects = "a whole number from 1 to 15",
           .help = "stratum of the local clock when it is served unsynchronised",
           .reloadable = true, .least = 1, .most = 15,
           .read = [](Settings& s, const Given& g) { read_integer(g, s.server.local_stratum); },
           .show = [](const Settings& s) { return std::to_string(s.server.local_stratum); }},
    Option{.key = "server.poll_minimum", .fallback = "-6", .flag = "", .argument = "",
           .expects = "a whole number from -6 to 17",
           .help = "smallest poll interval that replies ask for, as a power of two in seconds",
           .reloadable = true, .least = -6, .most = 17,
           .read = [](Settings& s, const Given& g) { read_integer(g, s.server.poll_minimum); },
           .show = [](const Settings& s) { return std::to_string(s.server.poll_minimum); }},
    Option{.key = "server.user", .fallback = "65532:65532", .flag = "", .argument = "",
           .expects = R"(a numeric "UID" or "UID:GID")",
           .help = "user and group to become after binding, when started as root",
           .read = [](Settings& s, const Given& g) {
             UserId user{s.server.uid, s.server.gid};
             read_user(g, user);
             s.server.uid = user.uid;
             s.server.gid = user.gid;
           },
           .show = [](const Settings& s) {
             return quote(fmt::format("{}:{}", s.server.uid, s.server.gid));
           }},
    Option{.key = "server.sandbox", .fallback = "auto", .flag = "", .argument = "",
           .expects = R"("auto", "off" or "required")",
           .help = "after the start, reach only the files, ports and system calls that are needed: "
                   "auto with what the kernel has of Landlock and seccomp, required refuses to start "
                   "where either is missing",
           .read = [](Settings& s, const Given& g) { read_enum(g, s.server.sandbox); },
           .show = [](const Settings& s) { return show_enum(kSandboxes, s.server.sandbox); },
           .words = kSandboxes},
    Option{.key = "server.keys_file", .fallback = "", .flag = "", .argument = "",
           .expects = R"("" or an absolute path in printable ASCII)",
           .help = "file of symmetric keys in chrony's form (ID TYPE KEY, and behind it clients such "
                   "as 192.0.2.0/24,2001:db8::7 where a key is for these alone): requests with a MAC "
                   "of one of them get a reply with such a MAC; where it is our own nobody else may "
                   "read it",
           .reloadable = true,
           .most = kLongestPath,
           .read = [](Settings& s, const Given& g) { read_path(g, s.server.keys_file); },
           .show = [](const Settings& s) { return quote(s.server.keys_file); },
           .words = kNoKeysFile},

    Option{.key = "host_clock.error_floor", .fallback = "1ms", .flag = "", .argument = "",
           .expects = R"(a duration from "0s" to "1s")",
           .help = "added to the error bound that the kernel states for its clock",
           .reloadable = true, .least = 0, .most = ns(1s),
           .read = [](Settings& s, const Given& g) { read_duration(g, s.host_clock.error_floor); },
           .show = [](const Settings& s) { return quote(show_duration(s.host_clock.error_floor)); }},
    Option{.key = "host_clock.error_unknown", .fallback = "100ms", .flag = "", .argument = "",
           .expects = R"(a duration from "0s" to "16s")",
           .help = "used in place of error_floor where the host's time daemon resets the kernel's "
                   "bound to zero, as systemd-timesyncd does",
           .reloadable = true, .least = 0, .most = ns(16s),
           .read = [](Settings& s, const Given& g) { read_duration(g, s.host_clock.error_unknown); },
           .show = [](const Settings& s) {
             return quote(show_duration(s.host_clock.error_unknown));
           }},
    Option{.key = "host_clock.max_root_distance", .fallback = "1.5s", .flag = "", .argument = "",
           .expects = R"(a duration from "1ms" to "16s")",
           .help = "error bound above which the host's clock counts as unsynchronised",
           .reloadable = true, .least = ns(1ms), .most = ns(16s),
           .read = [](Settings& s, const Given& g) {
             read_duration(g, s.host_clock.max_root_distance);
           },
           .show = [](const Settings& s) {
             return quote(show_duration(s.host_clock.max_root_distance));
           }},

    Option{.key = "clock.unsynchronised", .fallback = "refuse", .flag = "", .argument = "",
           .expects = R"("local", "refuse" or "orphan")",
           .help = "while the sources do not tell the time: refuse answers that there is no time, "
                   "local serves the local clock at server.local_stratum with reference LOCL, "
                   "orphan agrees on a time with the sources that have none either",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_enum(g, s.clock.unsynchronised); },
           .show = [](const Settings& s) {
             return show_enum(kUnsynchronised, s.clock.unsynchronised);
           },
           .words = kUnsynchronised},
    Option{.key = "clock.local_wait", .fallback = "0s", .flag = "", .argument = "",
           .expects = R"(a duration from "0s" to "86400s")",
           .help = "how long the sources do not tell the time before local serves the local clock",
           .reloadable = true, .least = 0, .most = ns(24h),
           .read = [](Settings& s, const Given& g) { read_duration(g, s.clock.local_wait); },
           .show = [](const Settings& s) { return quote(show_duration(s.clock.local_wait)); }},
    Option{.key = "clock.orphan_wait", .fallback = "300s", .flag = "", .argument = "",
           .expects = R"(a duration from "0s" to "86400s")",
           .help = "how long the sources do not tell the time before orphan looks for a leader "
                   "among them or leads",
           .reloadable = true, .least = 0, .most = ns(24h),
           .read = [](Settings& s, const Given& g) { read_duration(g, s.clock.orphan_wait); },
           .show = [](const Settings& s) { return quote(show_duration(s.clock.orphan_wait)); }},
    Option{.key = "clock.minsources", .fallback = "1", .flag = "", .argument = "",
           .expects = "a whole number from 1 to 64",
           .help = "how many sources have to agree before they are believed",
           .reloadable = true, .least = 1, .most = 64,
           .read = [](Settings& s, const Given& g) { read_integer(g, s.clock.minsources); },
           .show = [](const Settings& s) { return std::to_string(s.clock.minsources); }},
    Option{.key = "clock.max_root_distance", .fallback = "1.5s", .flag = "", .argument = "",
           .expects = R"(a duration from "1ms" to "16s")",
           .help = "error bound above which a source is not believed and the clock made of the "
                   "sources counts as unsynchronised",
           .reloadable = true, .least = ns(1ms), .most = ns(16s),
           .read = [](Settings& s, const Given& g) {
             read_duration(g, s.clock.max_root_distance);
           },
           .show = [](const Settings& s) {
             return quote(show_duration(s.clock.max_root_distance));
           }},

    Option{.key = "clock.leap_seconds", .fallback = "system", .flag = "", .argument = "",
           .expects = R"("system", "off" or an absolute path in printable ASCII)",
           .help = "the leap-seconds.list that says when there is a leap second; system for "
                   "/usr/share/zoneinfo/leap-seconds.list where there is one; off, or past its "
                   "expiry, for the majority of the sources",
           .reloadable = true, .most = kLongestPath,
           .read = [](Settings& s, const Given& g) { read_path(g, s.clock.leap_seconds); },
           .show = [](const Settings& s) { return quote(s.clock.leap_seconds); },
           .words = kLeapWords},
    Option{.key = "clock.state_directory", .fallback = "", .flag = "", .argument = "",
           .expects = R"("", "off" or an absolute path in printable ASCII)",
           .help = "directory where what was learned of this machine's oscillator is kept for the "
                   "next start; empty for $STATE_DIRECTORY, off or without either for none",
           .most = kLongestPath,
           .read = [](Settings& s, const Given& g) { read_path(g, s.clock.state_directory); },
           .show = [](const Settings& s) { return quote(s.clock.state_directory); },
           .words = kStateWords},
    Option{.key = "clock.steer", .fallback = "none", .flag = "", .argument = "",
           .expects = R"("none" or "system")",
           .help = "system leads the host's clock to the one made of the sources, which needs the "
                   "capability CAP_SYS_TIME at the start; none never touches it",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_enum(g, s.clock.steer); },
           .show = [](const Settings& s) { return show_enum(kActuators, s.clock.steer); },
           .words = kActuators},
    Option{.key = "clock.step_threshold", .fallback = "500ms", .flag = "", .argument = "",
           .expects = R"(a duration from "1ms" to "1000s")",
           .help = "with steer: a larger error of the host's clock is stepped away while "
                   "step_updates allows it, else slewed at 1000 ppm",
           .reloadable = true, .least = ns(1ms), .most = ns(1000s),
           .read = [](Settings& s, const Given& g) { read_duration(g, s.clock.step_threshold); },
           .show = [](const Settings& s) { return quote(show_duration(s.clock.step_threshold)); }},
    Option{.key = "clock.step_updates", .fallback = "3", .flag = "", .argument = "",
           .expects = "a whole number from -1 to 1000",
           .help = "with steer: how many of the first corrections, one a second, may be steps; 0 for "
                   "never, -1 for always",
           .reloadable = true, .least = -1, .most = 1000,
           .read = [](Settings& s, const Given& g) { read_integer(g, s.clock.step_updates); },
           .show = [](const Settings& s) { return std::to_string(s.clock.step_updates); }},
    Option{.key = "clock.max_change", .fallback = "1000s", .flag = "", .argument = "",
           .expects = R"(a duration from "0s" to "1000000s")",
           .help = "with steer: a larger error is not corrected once step_updates are over, and the "
                   "host's clock is called unsynchronised; 0s for no limit",
           .reloadable = true, .least = 0, .most = ns(1'000'000s),
           .read = [](Settings& s, const Given& g) { read_duration(g, s.clock.max_change); },
           .show = [](const Settings& s) { return quote(show_duration(s.clock.max_change)); }},

    Option{.key = "access.allow", .fallback = "", .flag = "", .argument = "",
           .expects = kRulesForm,
           .help = "prefixes of clients that are answered; of all prefixes that hold an address the "
                   "longest decides; one with @LISTENER, an address of server.listen, is for that "
                   "listener, which then has no other rules",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_access_rules(g, true, s.access.allow); },
           .show = [](const Settings& s) { return show_rules(s.access.allow); }},
    Option{.key = "access.deny", .fallback = "", .flag = "", .argument = "",
           .expects = kRulesForm,
           .help = "prefixes of clients that are met with silence, likewise",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_access_rules(g, false, s.access.deny); },
           .show = [](const Settings& s) { return show_rules(s.access.deny); }},
    Option{.key = "access.rules", .fallback = "", .flag = "", .argument = "",
           .expects = R"("" or an absolute path in printable ASCII)",
           .help = "a file of more such rules, up to a million, a line each: allow PREFIX or deny "
                   "PREFIX; # begins a comment",
           .reloadable = true, .most = kLongestPath,
           .read = [](Settings& s, const Given& g) { read_path(g, s.access.rules); },
           .show = [](const Settings& s) { return quote(s.access.rules); },
           .words = kRulesWords},
    Option{.key = "access.unlisted", .fallback = "auto", .flag = "", .argument = "",
           .expects = R"("auto", "allow" or "deny")",
           .help = "what becomes of addresses that no prefix holds; auto denies them where anything "
                   "is allowed by a rule, and else allows them",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_enum(g, s.access.unlisted); },
           .show = [](const Settings& s) { return show_enum(kUnlisted, s.access.unlisted); },
           .words = kUnlisted},

    Option{.key = "rate.limit", .fallback = "1000", .flag = "", .argument = "",
           .expects = "a whole number from 0 to 1000000",
           .help = "requests a second that are answered to one IPv4 address or IPv6 /64; 0 for no "
                   "limit",
           .reloadable = true, .least = 0, .most = 1'000'000,
           .read = [](Settings& s, const Given& g) { read_integer(g, s.rate.limit); },
           .show = [](const Settings& s) { return std::to_string(s.rate.limit); }},
    Option{.key = "rate.burst", .fallback = "8000", .flag = "", .argument = "",
           .expects = "a whole number from 0 to 1000000",
           .help = "how many more than that may come at once after a quiet time",
           .reloadable = true, .least = 0, .most = 1'000'000,
           .read = [](Settings& s, const Given& g) { read_integer(g, s.rate.burst); },
           .show = [](const Settings& s) { return std::to_string(s.rate.burst); }},
    Option{.key = "rate.leak", .fallback = "2", .flag = "", .argument = "",
           .expects = "a whole number from 1 to 1000",
           .help = "of the requests above the limit one in so many is answered, by chance; above 2, "
                   "whoever forges the address of another can keep most answers from it",
           .reloadable = true, .least = 1, .most = 1000,
           .read = [](Settings& s, const Given& g) { read_integer(g, s.rate.leak); },
           .show = [](const Settings& s) { return std::to_string(s.rate.leak); }},
    Option{.key = "rate.prefix_limit", .fallback = "16000", .flag = "", .argument = "",
           .expects = "a whole number from 0 to 1000000",
           .help = "the like of an IPv4 /24 or IPv6 /48, for each worker, but only while requests "
                   "come faster than they can be read; 0 for no limit",
           .reloadable = true, .least = 0, .most = 1'000'000,
           .read = [](Settings& s, const Given& g) { read_integer(g, s.rate.prefix_limit); },
           .show = [](const Settings& s) { return std::to_string(s.rate.prefix_limit); }},
    Option{.key = "rate.kiss", .fallback = "false", .flag = "", .argument = "",
           .expects = "true or false",
           .help = "answer one request a second in all that the limit refuses with a kiss-o'-death, "
                   "code RATE, by which a client may know that it asks too often",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_boolean(g, s.rate.kiss); },
           .show = [](const Settings& s) { return show_boolean(s.rate.kiss); }},
    Option{.key = "nts.certificate", .fallback = "", .flag = "", .argument = "",
           .expects = R"("" or an absolute path in printable ASCII)",
           .help = "PEM file with the certificate that NTS clients are shown and those between it "
                   "and the root, the server's own first; with nts.key it turns NTS on; renewals are "
                   "taken up within two seconds",
           .most = kLongestPath,
           .read = [](Settings& s, const Given& g) { read_path(g, s.nts.certificate); },
           .show = [](const Settings& s) { return quote(s.nts.certificate); },
           .words = kNoFile},
    Option{.key = "nts.key", .fallback = "", .flag = "", .argument = "",
           .expects = R"("" or an absolute path in printable ASCII)",
           .help = "PEM file with the private key of nts.certificate, without a password; where it is "
                   "our own nobody else may read it",
           .most = kLongestPath,
           .read = [](Settings& s, const Given& g) { read_path(g, s.nts.key); },
           .show = [](const Settings& s) { return quote(s.nts.key); },
           .words = kNoFile},
    Option{.key = "nts.listen", .fallback = "0.0.0.0:4460,[::]:4460", .flag = "", .argument = "",
           .expects = kEndpointForm,
           .help = "TCP addresses for NTS key establishment, port 4460 where none is written; a "
                   "family that the machine lacks is tolerated in the default only",
           .read = [](Settings& s, const Given& g) { read_endpoints(g, kKePort, s.nts.listen); },
           .show = [](const Settings& s) { return show_endpoints(s.nts.listen); }},
    Option{.key = "nts.cookie_secret_file", .fallback = "", .flag = "", .argument = "",
           .expects = R"("" or an absolute path in printable ASCII)",
           .help = "file with at least 32 octets that all servers of a fleet share: each makes the "
                   "same cookie keys from it, so a client may move between them; empty for random "
                   "keys of this server's own, kept in clock.state_directory",
           .most = kLongestPath,
           .read = [](Settings& s, const Given& g) { read_path(g, s.nts.cookie_secret_file); },
           .show = [](const Settings& s) { return quote(s.nts.cookie_secret_file); },
           .words = kNoFile},
    Option{.key = "nts.cookie_secret_previous_file", .fallback = "", .flag = "", .argument = "",
           .expects = R"("" or an absolute path in printable ASCII)",
           .help = "the secret from before the present one, whose cookies are still accepted",
           .most = kLongestPath,
           .read = [](Settings& s, const Given& g) {
             read_path(g, s.nts.cookie_secret_previous_file);
           },
           .show = [](const Settings& s) { return quote(s.nts.cookie_secret_previous_file); },
           .words = kNoFile},
    Option{.key = "nts.certificate_times", .fallback = "always", .flag = "", .argument = "",
           .expects = R"("always" or "synchronised")",
           .help = "when certificates of sources that have expired are refused: always, or not before "
                   "the sources have told the time, for hosts that may start with a clock that is "
                   "far ahead",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_enum(g, s.nts.certificate_times); },
           .show = [](const Settings& s) {
             return show_enum(kCertificateTimes, s.nts.certificate_times);
           },
           .words = kCertificateTimes},
    Option{.key = "nts.rotation", .fallback = "86400s", .flag = "", .argument = "",
           .expects = R"(a duration from "60s" to "604800s")",
           .help = "how long cookies are made with one key; they are accepted for seven times as "
                   "long after; the same on all servers of a fleet",
           .least = ns(60s), .most = ns(168h),
           .read = [](Settings& s, const Given& g) { read_duration(g, s.nts.rotation); },
           .show = [](const Settings& s) { return quote(show_duration(s.nts.rotation)); }},

    Option{.key = "http.listen", .fallback = "127.0.0.1:9559",
           .flag = "--http", .argument = "ADDR[:PORT]|off",
           .expects = R"("off", ADDR, ADDR:PORT or [IPV6]:PORT)",
           .help = "TCP address of /metrics, /healthz, /readyz and /api/v1/status, port 9559 where "
                   "none is written; off for none",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_endpoint(g, kHttpPort, s.http.listen); },
           .show = [](const Settings& s) {
             return quote(s.http.listen ? to_string(*s.http.listen) : "off");
           }},
    Option{.key = "http.max_error", .fallback = "100ms", .flag = "", .argument = "",
           .expects = R"(a duration from "1us" to "16s")",
           .help = "/readyz says ready only while the error bound is at most this",
           .reloadable = true, .least = ns(1us), .most = ns(16s),
           .read = [](Settings& s, const Given& g) { read_duration(g, s.http.max_error); },
           .show = [](const Settings& s) { return quote(show_duration(s.http.max_error)); }},

    Option{.key = "health.socket", .fallback = "", .flag = "", .argument = "",
           .expects = R"("", "off" or an absolute path in printable ASCII)",
           .help = "path of the Unix socket that the healthcheck command asks; empty for the first "
                   "usable of $RUNTIME_DIRECTORY/health.sock, /run/ntp-server/health.sock and "
                   "/dev/shm/ntp-server.health.sock; off for none",
           .reloadable = true, .most = kLongestSocketPath,
           .read = [](Settings& s, const Given& g) { read_path(g, s.health_socket); },
           .show = [](const Settings& s) { return quote(s.health_socket); },
           .words = kSocketWords},

    Option{.key = "log.level", .fallback = "info",
           .flag = "--log-level", .argument = "LEVEL",
           .expects = R"("error", "warning", "info" or "debug")",
           .help = "least severe messages to log: error, warning, info or debug; the addresses "
                   "served are logged whatever this is",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_enum(g, s.log.level); },
           .show = [](const Settings& s) { return show_enum(kLevels, s.log.level); },
           .words = kLevels, .alias = "LOG_LEVEL"},
    Option{.key = "log.format", .fallback = "text",
           .flag = "--log-format", .argument = "FORMAT",
           .expects = R"("text", "json" or "logfmt")",
           .help = "form of a log line: text, json or logfmt",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_enum(g, s.log.format); },
           .show = [](const Settings& s) { return show_enum(kFormats, s.log.format); },
           .words = kFormats},
    Option{.key = "log.requests", .fallback = "false",
           .flag = "--log-requests", .argument = "",
           .expects = "true or false",
           .help = "log received and sent packets, at most 10 lines a second on average and 20 in "
                   "any one second",
           .reloadable = true,
           .read = [](Settings& s, const Given& g) { read_boolean(g, s.log.requests); },
           .show = [](const Settings& s) { return show_boolean(s.log.requests); }},
};
// clang-format on

Settings make_defaults() {
  Settings settings;
  std::vector<Fault> faults;
  for (const auto& option : kOptions) {
    const Value value{.bare = true, .text = std::string(option.fallback)};
    option.read(settings, {option, value, faults});
  }
  NTP_CHECK(faults.empty());
  return settings;
}

}  // namespace

std::span<const Option> options() { return kOptions; }

const Option* find_option(std::string_view key) {
  const auto found = std::ranges::find(kOptions, key, &Option::key);
  return found == kOptions.end() ? nullptr : &*found;
}

std::vector<std::string_view> sections() {
  std::vector<std::string_view> names;
  for (const auto& option : kOptions) {
    if (names.empty() || names.back() != option.section()) names.push_back(option.section());
  }
  return names;
}

std::string environment_name(const Option& option) {
  return fmt::format("NTP_SERVER_{}_{}", upper_case(option.section()), upper_case(option.name()));
}

const Settings& defaults() {
  static const Settings settings = make_defaults();
  return settings;
}

std::string show_default(const Option& option) { return option.show(defaults()); }

std::vector<const Option*> changed(const Settings& before, const Settings& after) {
  std::vector<const Option*> differing;
  for (const auto& option : kOptions) {
    if (option.show(before) != option.show(after)) differing.push_back(&option);
  }
  return differing;
}

}  // namespace ntp::config

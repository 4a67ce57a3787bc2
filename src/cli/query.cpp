#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/ip.h"
#include "cli/commands.h"
#include "cli/local_server.h"
#include "cli/output.h"
#include "cli/query_nts.h"
#include "cli/served_time.h"
#include "control/refid_text.h"
#include "control/time_text.h"
#include "os/ntp_exchange.h"

namespace ntp::cli {
namespace {

constexpr int kUnavailable = 69;  // EX_UNAVAILABLE
constexpr int kUsage = 2;
constexpr int kPause_ms = 1000;  // between questions to one server: some take more for an attack
constexpr std::uint16_t kNtpPort = 123;
constexpr std::uint16_t kKePort = 4460;
constexpr std::chrono::milliseconds kLocalAnswer{500};

struct Target {
  std::string host;
  std::uint16_t port = kNtpPort;
};

// "HOST", "HOST:PORT", "2001:db8::1", "[2001:db8::1]:PORT".
std::optional<Target> parse_target(const std::string& text, std::uint16_t usual) {
  if (const auto endpoint = parse_endpoint(text, usual)) {
    return Target{to_string(endpoint->address), endpoint->port};
  }
  const auto colon = text.find(':');
  if (colon == std::string::npos) return Target{.host = text, .port = usual};
  if (text.find(':', colon + 1) != std::string::npos) return std::nullopt;
  const auto port = parse_endpoint("0.0.0.0" + text.substr(colon), kNtpPort);
  if (!port || colon == 0) return std::nullopt;
  return Target{text.substr(0, colon), port->port};
}

const char* leap_text(wire::Leap leap) {
  switch (leap) {
    case wire::Leap::none:
      return "none";
    case wire::Leap::insert:
      return "insert";
    case wire::Leap::remove:
      return "delete";
    case wire::Leap::unknown:
      return "unsynchronised";
  }
  return "";
}

struct Answer {
  client::Measurement measured;
  std::optional<ServedTime> served;
};

void print_lines(const Endpoint& server, const Answer& answer) {
  const client::Measurement& m = answer.measured;
  print(fmt::format(
      "{}  stratum {}  offset {:+.6f} s  delay {:.6f} s  root distance {:.6f} s  leap {}  refid "
      "{}\n",
      to_string(server), m.reply.stratum, m.offset_s, m.delay_s, m.root_distance_s,
      leap_text(m.reply.leap), control::refid_text(m.reply.refid, m.reply.stratum)));
  if (answer.served) print(served_text(*answer.served));
}

nlohmann::json as_json(const Answer& answer) {
  const client::Measurement& m = answer.measured;
  return {{"offset_s", m.offset_s},
          {"served", answer.served ? served_json(*answer.served) : nlohmann::json()},
          {"delay_s", m.delay_s},
          {"root_distance_s", m.root_distance_s},
          {"root_delay_s", m.reply.root_delay.seconds()},
          {"root_dispersion_s", m.reply.root_dispersion.seconds()},
          {"stratum", m.reply.stratum},
          {"leap", leap_text(m.reply.leap)},
          {"refid", control::refid_text(m.reply.refid, m.reply.stratum)},
          {"version", m.reply.version},
          {"precision", m.reply.precision},
          {"poll", m.reply.poll}};
}

void print_nts(const NtsFacts& facts) {
  const auto& keys = facts.keys;
  print(fmt::format("{}  NTS {}  {}  {} cookies of {} octets  certificate {} (by {}) until {}\n",
                    to_string(facts.establishment), crypto::name(keys.keys.aead), facts.cipher,
                    keys.cookies.size(), keys.cookies.front().size(), facts.certificate.subject,
                    facts.certificate.issuer, control::rfc3339_utc(facts.certificate.valid_until)));
}

nlohmann::json as_json(const NtsFacts& facts) {
  const auto& keys = facts.keys;
  return {{"key_establishment", to_string(facts.establishment)},
          {"cipher", facts.cipher},
          {"aead", crypto::name(keys.keys.aead)},
          {"exported_as_rfc", facts.exported_as_rfc},
          {"cookies", keys.cookies.size()},
          {"cookie_octets", keys.cookies.front().size()},
          {"server", keys.server},
          {"port", keys.port ? nlohmann::json(*keys.port) : nlohmann::json()},
          {"warnings", facts.warnings},
          {"roots", facts.roots},
          {"certificate",
           {{"subject", facts.certificate.subject},
            {"issuer", facts.certificate.issuer},
            {"valid_from", control::rfc3339_utc(facts.certificate.valid_from)},
            {"valid_until", control::rfc3339_utc(facts.certificate.valid_until)}}}};
}

struct Outcome {
  Endpoint server;
  std::vector<Answer> samples;
  std::string failure;  // of the last question that got no answer
};

// Our own server, as long as it answers.
class Local {
 public:
  explicit Local(const LocalServer& server) : server_(server) {}

  std::optional<ServedTime> against(const client::Measurement& measured) {
    if (!answers_) return std::nullopt;
    const auto status = ask_status(server_, kLocalAnswer);
    answers_ = status.has_value();
    return answers_ ? compare(measured, *status) : std::nullopt;
  }

 private:
  LocalServer server_;
  bool answers_ = true;
};

// The first address that answers is asked for the rest as well.
Outcome ask(const std::vector<Endpoint>& addresses, const QueryOptions& options,
            client::NtsSession* nts) {
  Local local(options.server);
  Outcome outcome;
  for (const Endpoint& address : addresses) {
    outcome.server = address;
    for (int i = 0; i < options.count; ++i) {
      if (i > 0) ::poll(nullptr, 0, kPause_ms);
      const auto measured = os::exchange(address, options.timeout, nts);
      if (!measured) {
        outcome.failure = fmt::format("{}: {}", to_string(address), measured.error());
        if (outcome.samples.empty() && &address != &addresses.back()) break;
        continue;
      }
      outcome.samples.push_back({*measured, local.against(*measured)});
      if (!options.json) print_lines(address, outcome.samples.back());
      if (std::fflush(stdout) != 0) return outcome;
    }
    if (!outcome.samples.empty()) break;
  }
  return outcome;
}

void print_json(const QueryOptions& options, const Outcome& outcome, const NtsFacts* nts) {
  nlohmann::json all = nlohmann::json::array();
  for (const auto& sample : outcome.samples) all.push_back(as_json(sample));
  nlohmann::json document{{"query", options.host},
                          {"server", to_string(outcome.server)},
                          {"sent", options.count},
                          {"received", outcome.samples.size()},
                          {"samples", all}};
  if (nts != nullptr) document["nts"] = as_json(*nts);
  if (!outcome.samples.empty()) {  // the quickest round trip tells most
    document["best"] = as_json(*std::ranges::min_element(
        outcome.samples, {}, [](const Answer& answer) { return answer.measured.delay_s; }));
  }
  print(document.dump(2) + '\n');
}

int conclude(const QueryOptions& options, const Outcome& outcome, const NtsFacts* nts) {
  if (options.json) print_json(options, outcome, nts);
  if (!outcome.failure.empty()) complain(fmt::format("ntp-server: {}\n", outcome.failure));
  return outcome.samples.empty() ? kUnavailable : 0;
}

int query_by_nts(const Target& target, const QueryOptions& options) {
  const auto facts = establish_keys(target.host, target.port, options.ca);
  if (!facts) {
    complain(fmt::format("ntp-server: no keys (NTS): {}\n", facts.error()));
    return kUnavailable;
  }
  if (!options.json) print_nts(*facts);
  client::NtsSession session;
  session.on_established(facts->keys, RawTime{});
  return conclude(options, ask(facts->servers, options, &session), &*facts);
}

}  // namespace

int run_query(const QueryOptions& options) {
  const auto target = parse_target(options.host, options.nts ? kKePort : kNtpPort);
  if (!target || target->port == 0) {
    complain(
        fmt::format("ntp-server: \"{}\" is not HOST or HOST:PORT (IPv6: [ADDRESS]:PORT; PORT from "
                    "1 to 65535)\n",
                    options.host));
    return kUsage;
  }
  if (options.nts) return query_by_nts(*target, options);
  const auto addresses = os::resolve(target->host, target->port);
  if (!addresses) {
    complain(fmt::format("ntp-server: cannot find {}: {}\n", target->host, addresses.error()));
    return kUnavailable;
  }
  return conclude(options, ask(*addresses, options, nullptr), nullptr);
}

}  // namespace ntp::cli

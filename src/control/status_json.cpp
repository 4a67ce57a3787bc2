#include "control/status_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "control/refid_text.h"
#include "control/time_text.h"

namespace ntp::control {
namespace {

using Json = nlohmann::ordered_json;

std::string_view leap_text(wire::Leap leap) {
  switch (leap) {
    case wire::Leap::none:
      return "none";
    case wire::Leap::insert:
      return "insert";
    case wire::Leap::remove:
      return "delete";
    case wire::Leap::unknown:
      break;
  }
  return "unknown";
}

Json system_part(const Report& report) {
  const auto& state = report.state;
  const auto bound_s = error_bound_now_s(report);
  Json system;
  system["synchronised"] = is_synchronised(report);
  system["serving"] = report.serving;
  system["local_clock"] = is_local_clock(report);
  system["leap"] = leap_text(report.serving ? state.leap : wire::Leap::unknown);
  system["stratum"] = report.serving ? int{state.stratum} : 16;
  system["precision"] = int{state.precision};
  system["refid"] = report.serving ? Json(refid_text(state.refid, state.stratum)) : Json(nullptr);
  system["reftime"] =
      report.serving ? Json(rfc3339_utc(state.reftime.near(report.now))) : Json(nullptr);
  system["root_delay_s"] = report.serving ? state.root_delay_s : 0.0;
  system["root_dispersion_s"] = root_dispersion_now_s(report);
  system["error_bound_s"] = bound_s ? Json(*bound_s) : Json(nullptr);
  return system;
}

Json host_part(const Report& report) {
  const auto& host = report.host;
  Json part;
  part["standing"] = kStandings[static_cast<std::size_t>(host.standing)];
  part["steps"] = report.host_steps;
  part["readable"] = host.reading.available;
  if (!host.reading.available) return part;
  part["error_bound_s"] = host.error_bound_s;
  part["maxerror_s"] = static_cast<double>(host.reading.maxerror_us) / 1e6;
  part["maxerror_is_meaningless"] = host.maxerror_is_meaningless;
  part["esterror_s"] = static_cast<double>(host.reading.esterror_us) / 1e6;
  part["offset_s"] = host.reading.offset_s;
  part["tai_offset_s"] = host.reading.tai_offset_s;
  return part;
}

Json clock_part(const Report& report) {
  if (!report.sources) return nullptr;
  const SourceView& view = *report.sources;
  Json part;
  part["state"] = clock::kClockStateNames[static_cast<std::size_t>(view.state)];
  part["why"] = view.reason;
  const auto leader = std::ranges::find_if(
      view.tracked, [&](const client::Tracked& t) { return t.association.id == view.leader; });
  part["leader"] =
      leader == view.tracked.end() ? Json(nullptr) : Json(to_string(leader->association.address));
  part["host_offset_s"] = host_offset_s(report);
  part["frequency_ppm"] = view.frequency * 1e6;
  part["frequency_error_ppm"] = view.frequency_sd * 1e6;
  return part;
}

std::string why(const client::Tracked& tracked) {
  std::string verdict = clock::describe(tracked.verdict);
  const auto refused = tracked.association.refused;
  const auto& nts = tracked.association.nts;
  if (nts && !nts->has_keys) {
    return nts->trouble ? "it gives no keys (NTS): " + nts->trouble->why
                        : "its keys are being established (NTS)";
  }
  if (!refused) return verdict;
  return fmt::format("{}; its last answer was refused: {}", verdict, client::describe(*refused));
}

Json steering_part(const Report& report) {
  if (!report.sources || !report.sources->steering) return nullptr;
  const SteeringView& steering = *report.sources->steering;
  return {{"state", kSteeringStateNames[static_cast<std::size_t>(steering.state)]},
          {"error_s", steering.error_s},
          {"frequency_ppm", steering.rate * 1e6},
          {"steps", steering.steps},
          {"refusals", steering.refusals},
          {"disturbances", steering.disturbances},
          {"failures", steering.failures}};
}

// What it is proved by, and how that goes.
Json nts_part(const Report& report, const client::NtsReport& nts) {
  Json part;
  part["has_keys"] = nts.has_keys;
  part["aead"] = nts.aead ? Json(crypto::name(*nts.aead)) : Json(nullptr);
  part["cookies"] = nts.cookies;
  part["age_s"] =
      nts.established ? Json(seconds(report.raw_now - *nts.established)) : Json(nullptr);
  part["recalled"] = nts.recalled;
  part["establishments"] = nts.establishments;
  part["naks"] = nts.naks;
  Json& failures = part["failures"] = Json::object();
  for (std::size_t i = 0; i < nts.troubles.size(); ++i) {
    if (nts.troubles[i] > 0) failures[std::string(nts::kKeTroubleNames[i])] = nts.troubles[i];
  }
  const auto& trouble = nts.trouble;
  part["trouble"] = trouble ? Json(nts::kKeTroubleNames[static_cast<std::size_t>(trouble->trouble)])
                            : Json(nullptr);
  part["why"] = trouble ? Json(trouble->why) : Json(nullptr);
  part["next_establishment_s"] = nts.next_establishment && *nts.next_establishment > report.raw_now
                                     ? Json(seconds(*nts.next_establishment - report.raw_now))
                                     : Json(nullptr);
  return part;
}

Json source_part(const Report& report, const client::SourceReport& source,
                 const client::Tracked& tracked) {
  const client::AssociationReport& association = tracked.association;
  Json part;
  part["name"] = source.options.host;
  part["address"] = to_string(association.address);
  part["verdict"] = clock::kStandingNames[static_cast<std::size_t>(tracked.verdict.standing)];
  part["why"] = why(tracked);
  part["standing"] = client::describe(association.standing);
  part["reach"] = int{association.reach};
  part["poll"] = association.poll;
  const auto& sample = association.sample;
  part["stratum"] = sample ? Json(int{sample->stratum}) : Json(nullptr);
  part["offset_s"] = tracked.estimate ? Json(tracked.verdict.offset_s) : Json(nullptr);
  part["offset_error_s"] =
      tracked.estimate ? Json(std::sqrt(tracked.estimate->offset_var)) : Json(nullptr);
  part["frequency_ppm"] = tracked.estimate
                              ? Json((tracked.estimate->rate - report.sources->frequency) * 1e6)
                              : Json(nullptr);
  part["frequency_error_ppm"] =
      tracked.estimate ? Json(std::sqrt(tracked.estimate->rate_var) * 1e6) : Json(nullptr);
  part["age_s"] = sample ? Json(seconds(report.raw_now - sample->at)) : Json(nullptr);
  part["delay_s"] = sample ? Json(tracked.delay_s) : Json(nullptr);
  part["jitter_s"] = sample ? Json(tracked.jitter_s) : Json(nullptr);
  part["root_distance_s"] = sample ? Json(tracked.verdict.distance_s) : Json(nullptr);
  part["questions"] = association.questions;
  part["samples"] = association.samples;
  part["steps"] = tracked.steps;
  part["rejected"] = association.rejects.total();
  Json& rejects = part["rejects"] = Json::object();
  for (const client::Reject reject : client::all_rejects()) {
    const std::uint64_t count = association.rejects.of(reject);
    if (count > 0) rejects[std::string(client::name(reject))] = count;
  }
  part["refused"] = association.refused ? Json(client::name(*association.refused)) : Json(nullptr);
  part["kiss"] = association.kiss;
  part["key"] = source.options.key != 0 ? Json(source.options.key) : Json(nullptr);
  part["nts"] = association.nts ? nts_part(report, *association.nts) : Json(nullptr);
  return part;
}

Json sources_part(const Report& report) {
  Json list = Json::array();
  if (!report.sources) return list;
  for (const client::Tracked& tracked : report.sources->tracked) {
    const auto source =
        std::ranges::find(report.sources->sources, tracked.source, &client::SourceReport::id);
    if (source != report.sources->sources.end()) {
      list.push_back(source_part(report, *source, tracked));
    }
  }
  return list;
}

// Sources of the configuration that have no address to ask.
Json nameless_part(const Report& report) {
  Json list = Json::array();
  if (!report.sources) return list;
  for (const client::SourceReport& source : report.sources->sources) {
    if (!source.associations.empty()) continue;
    list.push_back({{"name", source.options.host},
                    {"why", source.standing},
                    {"failures", source.resolve_failures}});
  }
  return list;
}

Json packets_part(const Totals& totals) {
  Json part;
  part["received"] = totals.received;
  part["accepted"] = totals.accepted();
  part["ignored"] = totals.ignored();
  part["lost"] = totals.lost;
  part["mac_accepted"] = totals.mac_accepted;
  part["nts_accepted"] = totals.nts_accepted;
  part["nts_naks"] = totals.nts_naks;
  part["sent"] = totals.replies;
  part["send_errors"] = totals.send_errors;
  part["receive_errors"] = totals.receive_errors;
  part["batches"] = totals.batches;
  part["stamps_missing"] = totals.stamps_missing;
  part["stamps_discarded"] = totals.stamps_discarded;
  Json& versions = part["versions"] = Json::object();
  for (std::size_t version = 1; version < totals.versions.size(); ++version) {
    versions[std::to_string(version)] = totals.versions[version];
  }
  Json& dropped = part["dropped"] = Json::object();
  for (std::size_t i = 0; i < server::kDropCount; ++i) {
    dropped[std::string(server::kDropLabels[i])] = totals.drops[i];
  }
  return part;
}

Json rate_part(const Report& report) {
  Json part;
  part["limit"] = report.rate_limit;
  part["threatened"] = report.rate.threatened;
  part["crowd"] = report.rate.crowd_ports > 0 ? Json(to_string(report.rate.crowd)) : Json(nullptr);
  part["leaked"] = report.totals.leaked;
  part["kisses"] = report.totals.kisses;
  return part;
}

Json certificate_part(const Report& report, const KeCertificate& certificate) {
  Json part;
  part["loaded"] = certificate.loaded;
  part["problem"] = certificate.problem.empty() ? Json(nullptr) : Json(certificate.problem);
  if (!certificate.loaded) return part;
  part["subject"] = certificate.subject;
  part["valid_from"] = rfc3339_utc(certificate.valid_from);
  part["valid_until"] = rfc3339_utc(certificate.valid_until);
  part["expires_in_s"] = seconds(certificate.valid_until - report.now);
  return part;
}

Json sandbox_part(const SandboxView& sandbox) {
  return {{"landlock", sandbox.files},
          {"system_calls", sandbox.system_calls},
          {"memory", sandbox.memory}};
}

Json process_part(const KeProcess& process) {
  return {{"up", process.up},
          {"restarts", process.restarts()},
          {"sandbox", sandbox_part(process.sandbox)}};
}

Json nts_part(const Report& report) {
  if (!report.ke) return nullptr;
  const KeView& ke = *report.ke;
  Json part = process_part(ke.process);
  part["certificate"] = certificate_part(report, ke.certificate);
  part["keys"] = ke.keys;
  part["keys_problem"] = ke.keys_problem.empty() ? Json(nullptr) : Json(ke.keys_problem);
  part["connections"] = ke.counters.accepted;
  part["open"] = ke.counters.open;
  part["accept_errors"] = ke.counters.accept_errors;
  Json& outcomes = part["outcomes"] = Json::object();
  for (std::size_t i = 0; i < kKeOutcomes; ++i) {
    outcomes[std::string(kKeOutcomeNames[i])] = ke.counters.outcomes[i];
  }
  Json& aeads = part["aeads"] = Json::object();
  for (std::size_t i = 0; i < kKeAeads; ++i) {
    aeads[std::string(kKeAeadNames[i])] = ke.counters.aeads[i];
  }
  return part;
}

}  // namespace

std::string status_json(const Report& report, JsonForm form) {
  const Verdict ready = readiness(report, report.ready_max_error_s);
  Json status;
  status["schema"] = kStatusSchema;
  status["version"] = report.version;
  status["time"] = rfc3339_utc(report.now);
  status["uptime_s"] = report.uptime_s;
  status["ready"] = {
      {"ok", ready.good}, {"why", ready.why}, {"max_error_s", report.ready_max_error_s}};
  status["system"] = system_part(report);
  status["host_clock"] = host_part(report);
  status["clock"] = clock_part(report);
  status["steering"] = steering_part(report);
  status["sources"] = sources_part(report);
  status["without_address"] = nameless_part(report);
  status["packets"] = packets_part(report.totals);
  status["rate"] = rate_part(report);
  status["nts"] = nts_part(report);
  const auto& sources = report.sources;
  status["nts_client"] =
      sources && sources->key_process ? process_part(*sources->key_process) : Json(nullptr);
  Json& listening = status["listening"] = Json::array();
  for (const Endpoint& endpoint : report.listening) listening.push_back(to_string(endpoint));
  status["workers"] = {{"count", report.workers}, {"stalled", report.workers_stalled}};
  status["reloads"] = {{"ok", report.reloads}, {"error", report.reload_errors}};
  Json& sandbox = status["sandbox"] = sandbox_part(report.sandbox);
  sandbox["refused_calls"] = report.sandbox.refused_calls;
  sandbox["unconfined_threads"] = report.sandbox.unconfined_threads;
  // Replacing what is not UTF-8 instead of throwing: a page must not be able to end the program.
  const auto replace = Json::error_handler_t::replace;
  return form == JsonForm::one_line ? status.dump(-1, ' ', false, replace)
                                    : status.dump(2, ' ', false, replace) + '\n';
}

}  // namespace ntp::control

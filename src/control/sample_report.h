// A Report with a value in every field, for the tests of the renderings.
#pragma once

#include "control/report.h"

namespace ntp::control {

inline Report sample_report() {
  using namespace std::chrono_literals;
  Report report;
  report.version = "V0.1";
  report.now = RealTime(1'795'393'165'123'456'789ns);  // 2026-11-23T00:19:25
  report.raw_now = RawTime(5002s);
  report.uptime_s = 12.5;
  report.state = {.leap = wire::Leap::insert,
                  .synchronised = true,
                  .stratum = 3,
                  .precision = -23,
                  .refid = server::kRefidHost,
                  .reftime = NtpTimestamp::from(report.now - 2s),
                  .root_delay_s = 0.25,
                  .root_dispersion_s = 0.5,
                  .dispersion_rate = 0.125,
                  .at = RawTime(5000s)};
  report.serving = true;
  report.served_once = true;
  report.host.standing = clock::HostStanding::synchronised;
  report.host.error_bound_s = 0.0135;
  report.host.reading = {.available = true,
                         .unsynchronised = false,
                         .maxerror_us = 12'500,
                         .esterror_us = 250,
                         .offset_s = -0.0000625,
                         .tai_offset_s = 37};
  report.host_steps = 2;
  report.totals.received = 1100;
  report.totals.batches = 400;
  report.totals.versions = {0, 1, 2, 300, 700};
  for (std::size_t i = 0; i < report.totals.drops.size(); ++i) report.totals.drops[i] = i + 1;
  report.totals.kisses = 31;
  report.totals.leaked = 32;
  report.totals.lost = 33;
  report.rate = {.threatened = true, .crowd = IpAddress::v4(172, 17, 0, 1), .crowd_ports = 600};
  report.rate_limit = 1000;
  report.totals.mac_accepted = 40;
  report.totals.nts_accepted = 50;
  report.totals.nts_naks = 60;
  report.totals.replies = 1000;
  report.totals.send_errors = 3;
  report.totals.receive_errors = 4;
  report.totals.stamps_missing = 5;
  report.totals.stamps_discarded = 6;
  for (std::size_t i = 0; i < report.totals.latency.size(); ++i) report.totals.latency[i] = i;
  report.totals.latency_sum_ns = 1'500'000'000;
  report.listening = {*parse_endpoint("0.0.0.0", 123), *parse_endpoint("[::]", 123)};
  report.workers = 4;
  report.workers_stalled = 1;
  report.reloads = 7;
  report.reload_errors = 8;
  report.sandbox = {.files = 7, .system_calls = true, .memory = false, .refused_calls = 9};
  return report;
}

inline client::NtsReport sample_nts(RawTime now) {
  client::NtsReport nts{.has_keys = true,
                        .aead = crypto::AeadId::aes_siv_cmac_256,
                        .cookies = 7,
                        .established = now - std::chrono::seconds(90),
                        .recalled = true,
                        .establishments = 3,
                        .naks = 4};
  nts.troubles[static_cast<std::size_t>(nts::KeTrouble::expired)] = 2;
  nts.trouble = nts::NotEstablished{.trouble = nts::KeTrouble::expired, .why = "too late"};
  nts.next_establishment = now + std::chrono::seconds(32);
  return nts;
}

// The same while a clock of our own is served, and its source is a falseticker.
inline Report report_with_a_source() {
  Report report = sample_report();
  auto view = std::make_shared<SourceView>();
  view->state = clock::ClockState::synchronised;
  view->reason = "1 of 1 sources agree";
  view->frequency = -12.5e-6;
  view->steering = SteeringView{.state = SteeringState::refused,
                                .error_s = 2000.5,
                                .rate = -11.25e-6,
                                .steps = 21,
                                .refusals = 22,
                                .disturbances = 23,
                                .failures = 24};
  client::SourceReport source;
  source.id = 4;
  source.options.host = "ntp.example.net";
  source.options.key = 5;
  client::Tracked tracked{.source = 4};
  tracked.association.address = *parse_endpoint("192.0.2.7:123", 0);
  for (const auto reject : {client::Reject::bogus, client::Reject::loop, client::Reject::loop}) {
    tracked.association.rejects.add(reject);
  }
  tracked.association.refused = client::Reject::loop;
  tracked.association.nts = sample_nts(report.raw_now);
  tracked.verdict.standing = clock::Standing::falseticker;
  tracked.verdict.offset_s = 1.5;
  tracked.estimate = clock::Estimate{};
  view->tracked.push_back(tracked);
  source.associations.push_back(tracked.association);
  view->sources.push_back(source);
  client::SourceReport nameless{.id = 5, .standing = "its name cannot be resolved"};
  nameless.options.host = "nowhere.example.net";
  nameless.resolve_failures = 3;
  view->sources.push_back(nameless);
  report.sources = view;
  return report;
}

// The same with NTS, whose certificate ends in an hour.
inline Report report_with_nts() {
  Report report = report_with_a_source();
  KeView ke{.process = {.up = true, .starts = 3, .sandbox = {.files = 4, .system_calls = true}},
            .keys = "of this server's own"};
  for (std::size_t i = 0; i < kKeOutcomes; ++i) ke.counters.outcomes[i] = 100 + i;
  for (std::size_t i = 0; i < kKeAeads; ++i) ke.counters.aeads[i] = 50 + i;
  ke.counters.accepted = 5000;
  ke.counters.accept_errors = 9;
  ke.counters.open = 33;
  ke.certificate = {.loaded = true,
                    .valid_from = report.now - std::chrono::hours(23),
                    .valid_until = report.now + std::chrono::hours(1),
                    .subject = "CN = time.example",
                    .problem = "server.key: it is empty"};
  report.ke = ke;
  auto view = std::make_shared<SourceView>(*report.sources);
  view->key_process = {.up = true, .starts = 2, .sandbox = {.files = 3, .memory = true}};
  report.sources = std::move(view);
  return report;
}

}  // namespace ntp::control

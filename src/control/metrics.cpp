#include "control/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <span>
#include <utility>

namespace ntp::control {
namespace {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

// The exposition format: a family's two comments, then its samples.
class Exposition {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    fmt::format_to(end(), "# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
  }

  template <typename T>
  void sample(T value, Labels labels = {}, std::string_view suffix = {}) {
    fmt::format_to(end(), "{}{}", name_, suffix);
    std::string_view before = "{";
    for (const auto& [label, text] : labels) {
      fmt::format_to(end(), "{}{}=\"", before, label);
      append_label_value(text);
      out_ += '"';
      before = ",";
    }
    out_ += labels.size() > 0 ? "} " : " ";
    append_number(value);
    out_ += '\n';
  }

  template <typename T>
  void gauge(std::string_view name, std::string_view help, T value) {
    family(name, "gauge", help);
    sample(value);
  }

  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, "counter", help);
    sample(value);
  }

  // One sample for each of the names, 1 for that of the state.
  template <std::size_t n, typename State>
  void states(std::string_view name, std::string_view help, std::string_view label,
              const std::array<std::string_view, n>& names, State state) {
    family(name, "gauge", help);
    for (std::size_t i = 0; i < n; ++i) {
      sample(state == static_cast<State>(i) ? 1 : 0, {{label, names[i]}});
    }
  }

  // `buckets` has one more entry than `edges`: what is above them all.
  void histogram(std::string_view name, std::string_view help,
                 std::span<const std::uint64_t> edges_ns, std::span<const std::uint64_t> buckets,
                 double sum_s) {
    family(name, "histogram", help);
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < edges_ns.size(); ++i) {
      below += buckets[i];
      const auto edge = fmt::format("{}", static_cast<double>(edges_ns[i]) / 1e9);
      sample(below, {{"le", edge}}, "_bucket");
    }
    below += buckets.back();
    sample(below, {{"le", "+Inf"}}, "_bucket");
    sample(sum_s, {}, "_sum");
    sample(below, {}, "_count");
  }

  std::string take() { return std::move(out_); }

 private:
  std::back_insert_iterator<std::string> end() { return std::back_inserter(out_); }

  void append_label_value(std::string_view text) {
    for (const char c : text) {
      if (c == '\n') {
        out_ += "\\n";
        continue;
      }
      if (c == '\\' || c == '"') out_ += '\\';
      out_ += c;
    }
  }

  void append_number(double value) {
    if (std::isnan(value)) {
      out_ += "NaN";
    } else if (std::isinf(value)) {
      out_ += value < 0 ? "-Inf" : "+Inf";
    } else {
      fmt::format_to(end(), "{}", value);
    }
  }
  template <std::integral T>
  void append_number(T value) {
    fmt::format_to(end(), "{}", value);
  }

  std::string out_;
  std::string name_;
};

void write_system(Exposition& out, const Report& report) {
  const auto& state = report.state;
  out.gauge("ntp_uptime_seconds", "Time since the server started.", report.uptime_s);
  out.gauge("ntp_system_stratum", "Stratum of replies; 16 while leap is 3.",
            report.serving ? int{state.stratum} : 16);
  out.gauge("ntp_system_leap_indicator",
            "Leap indicator of replies: 0 none, 1 insert, 2 delete, 3 not serving time.",
            report.serving ? static_cast<int>(state.leap) : 3);
  out.gauge("ntp_system_root_delay_seconds", "Root delay of replies.",
            report.serving ? state.root_delay_s : 0.0);
  out.gauge("ntp_system_root_dispersion_seconds", "Root dispersion of replies, aged to now.",
            root_dispersion_now_s(report));
  out.gauge("ntp_system_error_bound_seconds",
            "Most that the served time can be wrong by: root delay / 2 + root dispersion; +Inf "
            "while not synchronised.",
            error_bound_now_s(report).value_or(std::numeric_limits<double>::infinity()));
  out.gauge("ntp_system_synchronised",
            "1 while the served time comes from a synchronised clock, 0 otherwise.",
            is_synchronised(report) ? 1 : 0);
  out.gauge("ntp_system_serving", "1 while replies carry time (leap is not 3), 0 otherwise.",
            report.serving ? 1 : 0);
  out.gauge("ntp_system_local_clock",
            "1 while the local clock (LOCL) or that of an orphan is served without being "
            "synchronised, 0 otherwise.",
            is_local_clock(report) ? 1 : 0);
}

void write_host(Exposition& out, const Report& report) {
  const auto& host = report.host;
  out.gauge("ntp_host_clock_synchronised",
            "1 while the clock of the host is believed to be synchronised, 0 otherwise.",
            host.standing == clock::HostStanding::synchronised ? 1 : 0);
  out.states("ntp_host_clock_standing",
             "1 for the reason why the clock of the host is believed or not, 0 for the others.",
             "standing", kStandings, host.standing);
  out.counter("ntp_host_clock_steps_total", "Jumps of the clock of the host.", report.host_steps);
  if (!host.reading.available) return;  // then the kernel has told nothing of the following
  out.gauge("ntp_host_clock_maxerror_seconds", "Maximum error that the kernel states.",
            static_cast<double>(host.reading.maxerror_us) / 1e6);
  out.gauge("ntp_host_clock_esterror_seconds", "Estimated error that the kernel states.",
            static_cast<double>(host.reading.esterror_us) / 1e6);
  out.gauge("ntp_host_clock_offset_seconds", "Offset that the kernel has still to slew away.",
            host.reading.offset_s);
  out.gauge("ntp_host_clock_error_bound_seconds",
            "Error bound made of what the kernel states, floor included.", host.error_bound_s);
  out.gauge("ntp_host_clock_tai_offset_seconds",
            "TAI - UTC that the kernel knows; 0: it was never told.", host.reading.tai_offset_s);
}

// One sample per source: a label set that changes with the sources, and never with the clients.
template <typename Act>
void for_each_source(const SourceView& view, Act act) {
  for (const client::Tracked& tracked : view.tracked) {
    const auto source = std::ranges::find(view.sources, tracked.source, &client::SourceReport::id);
    if (source == view.sources.end()) continue;
    act(source->options.host, to_string(tracked.association.address), tracked);
  }
}

template <typename Value>
void write_source_gauge(Exposition& out, const SourceView& view, std::string_view name,
                        std::string_view help, Value value) {
  out.family(name, "gauge", help);
  for_each_source(view, [&](const std::string& host, const std::string& address, const auto& t) {
    out.sample(value(t), {{"name", host}, {"address", address}});
  });
}

void write_verdicts(Exposition& out, const SourceView& view) {
  out.family("ntp_source_verdict", "gauge",
             "Always 1; the label tells what the selection makes of the source.");
  for_each_source(view, [&](const std::string& host, const std::string& address, const auto& t) {
    const auto verdict = clock::kStandingNames[static_cast<std::size_t>(t.verdict.standing)];
    out.sample(1, {{"name", host}, {"address", address}, {"verdict", verdict}});
  });
  out.family("ntp_source_rejected_total", "counter",
             "Datagrams of the source that made no sample, by reason; reasons that there were.");
  for_each_source(view, [&](const std::string& host, const std::string& address, const auto& t) {
    for (const client::Reject reject : client::all_rejects()) {
      const std::uint64_t count = t.association.rejects.of(reject);
      if (count == 0) continue;
      out.sample(count, {{"name", host}, {"address", address}, {"reason", client::name(reject)}});
    }
  });
}

void write_nts_of_sources(Exposition& out, const SourceView& view) {
  const auto has_nts = [](const client::Tracked& t) { return t.association.nts.has_value(); };
  if (std::ranges::none_of(view.tracked, has_nts)) return;
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help,
                        auto act) {
    out.family(name, type, help);
    for_each_source(view, [&](const std::string& host, const std::string& address, const auto& t) {
      if (t.association.nts) act(host, address, *t.association.nts);
    });
  };
  each("ntp_source_nts_cookies_available", "gauge",
       "Cookies left of a source with NTS; 0: it is not asked until keys are established.",
       [&](const auto& host, const auto& address, const client::NtsReport& nts) {
         out.sample(nts.cookies, {{"name", host}, {"address", address}});
       });
  each("ntp_source_nts_establishments_total", "counter",
       "Key establishments that were begun with a source.",
       [&](const auto& host, const auto& address, const client::NtsReport& nts) {
         out.sample(nts.establishments, {{"name", host}, {"address", address}});
       });
  each("ntp_source_nts_failures_total", "counter",
       "Key establishments with a source that failed, by reason; reasons that there were.",
       [&](const auto& host, const auto& address, const client::NtsReport& nts) {
         for (std::size_t i = 0; i < nts.troubles.size(); ++i) {
           if (nts.troubles[i] == 0) continue;
           out.sample(nts.troubles[i],
                      {{"name", host}, {"address", address}, {"reason", nts::kKeTroubleNames[i]}});
         }
       });
  each("ntp_source_nts_naks_total", "counter", "NTS NAKs that seemed to be of a source.",
       [&](const auto& host, const auto& address, const client::NtsReport& nts) {
         out.sample(nts.naks, {{"name", host}, {"address", address}});
       });
}

void write_sandbox(Exposition& out, std::string_view name, std::string_view help,
                   const SandboxView& sandbox) {
  out.family(name, "gauge", help);
  out.sample(sandbox.files > 0 ? 1 : 0, {{"part", "files"}});
  out.sample(sandbox.system_calls && sandbox.unconfined_threads == 0 ? 1 : 0,
             {{"part", "system_calls"}});
  out.sample(sandbox.memory ? 1 : 0, {{"part", "memory"}});
}

void write_ke_process(Exposition& out, const std::string& name, std::string_view what,
                      const KeProcess& process) {
  out.gauge(name + "_up", fmt::format("1 while the process {} runs, 0 otherwise.", what),
            process.up ? 1 : 0);
  out.counter(name + "_restarts_total", "Times that it had to be started again.",
              process.restarts());
  write_sandbox(out, name + "_sandbox", "1 for what is in force of that process's sandbox.",
                process.sandbox);
}

void write_steering(Exposition& out, const SteeringView& steering) {
  out.states("ntp_steering_state", "1 for what is done to the clock of the host, 0 for the others.",
             "state", kSteeringStateNames, steering.state);
  out.gauge("ntp_steering_error_seconds",
            "Clock of the host minus the served one, before the last correction.",
            steering.error_s);
  out.gauge("ntp_steering_frequency_ppm", "That the kernel was given for its clock.",
            steering.rate * 1e6);
  out.counter("ntp_steering_steps_total", "Steps that the clock of the host was made to take.",
              steering.steps);
  out.counter("ntp_steering_refusals_total", "Corrections refused: over clock.max_change.",
              steering.refusals);
  out.counter("ntp_steering_disturbances_total",
              "Seconds in which somebody else changed the clock of the host.",
              steering.disturbances);
  out.counter("ntp_steering_failures_total", "Corrections that the kernel refused.",
              steering.failures);
}

void write_sources(Exposition& out, const Report& report) {
  const SourceView& view = *report.sources;
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  out.states("ntp_clock_state",
             "1 for the state of the clock made of the sources, 0 for the others.", "state",
             clock::kClockStateNames, view.state);
  out.gauge("ntp_clock_host_offset_seconds", "Clock of the host minus the served one.",
            host_offset_s(report));
  out.gauge("ntp_clock_frequency_ppm", "Of the served clock against CLOCK_MONOTONIC_RAW.",
            view.frequency * 1e6);
  if (view.steering) write_steering(out, *view.steering);
  write_source_gauge(out, view, "ntp_source_used", "1 while the source counts, 0 otherwise.",
                     [](const auto& t) { return clock::is_used(t.verdict.standing) ? 1 : 0; });
  write_source_gauge(
      out, view, "ntp_source_falseticker",
      "1 while the majority contradicts the source, 0 otherwise.",
      [](const auto& t) { return t.verdict.standing == clock::Standing::falseticker ? 1 : 0; });
  write_source_gauge(out, view, "ntp_source_reach",
                     "The last eight questions, a bit each; 255: all were answered.",
                     [](const auto& t) { return int{t.association.reach}; });
  write_source_gauge(out, view, "ntp_source_offset_seconds",
                     "Time of the source minus the served one; NaN before its first good answer.",
                     [](const auto& t) { return t.estimate ? t.verdict.offset_s : kNone; });
  write_source_gauge(out, view, "ntp_source_delay_seconds",
                     "Least of the last round trips; NaN before its first good answer.",
                     [](const auto& t) { return t.estimate ? t.delay_s : kNone; });
  write_verdicts(out, view);
  write_nts_of_sources(out, view);
  if (view.key_process) {
    write_ke_process(out, "ntp_nts_client", "that asks sources for keys (NTS)", *view.key_process);
  }
}

void write_packets(Exposition& out, const Totals& totals) {
  out.counter("ntp_server_received_packets_total", "Datagrams received.", totals.received);
  out.counter("ntp_server_accepted_packets_total", "Datagrams that earned a reply.",
              totals.accepted());
  out.counter("ntp_server_ignored_packets_total", "Datagrams dropped without a reply.",
              totals.ignored());
  out.family("ntp_server_dropped_packets_total", "counter",
             "Datagrams dropped without a reply, by reason.");
  for (std::size_t i = 0; i < server::kDropCount; ++i) {
    out.sample(totals.drops[i], {{"reason", server::kDropLabels[i]}});
  }
  out.family("ntp_server_requests_total", "counter", "Requests answered, by NTP version.");
  for (std::size_t version = 1; version < totals.versions.size(); ++version) {
    out.sample(totals.versions[version], {{"version", fmt::format_int(version).str()}});
  }
  out.counter(
      "ntp_server_lost_packets_total",
      "Datagrams that the kernel dropped because they came faster than they were read; known "
      "when the next one is read.",
      totals.lost);
  out.counter("ntp_server_leaked_requests_total",
              "Requests answered although their address was above the limit.", totals.leaked);
  out.counter("ntp_server_kiss_packets_total", "Replies that were a kiss-o'-death.", totals.kisses);
  out.counter("ntp_server_mac_accepted_packets_total",
              "Requests with the MAC of a symmetric key, answered with one.", totals.mac_accepted);
  out.counter("ntp_server_nts_accepted_packets_total", "NTS requests answered with time.",
              totals.nts_accepted);
  out.counter("ntp_server_nts_nak_packets_total",
              "NTS requests answered with NTSN: the cookie was not (any more) ours.",
              totals.nts_naks);
  out.counter("ntp_server_sent_packets_total", "Replies that the kernel took.", totals.replies);
  out.counter("ntp_server_response_send_errors_total", "Replies that the kernel refused.",
              totals.send_errors);
  out.counter("ntp_server_receive_errors_total", "Receive calls that failed.",
              totals.receive_errors);
  out.counter("ntp_server_receive_batches_total", "Receive calls that delivered datagrams.",
              totals.batches);
  out.counter("ntp_server_stamps_missing_total",
              "Datagrams without a receive stamp of the kernel: the clock was read instead.",
              totals.stamps_missing);
  out.counter("ntp_server_stamps_discarded_total",
              "Receive stamps that disagreed with the clock: it was read instead.",
              totals.stamps_discarded);
  out.histogram("ntp_server_response_latency_seconds",
                "From the receive stamp of the kernel to the transmit stamp, which is read just "
                "before sendmmsg(2) is called; of replies whose request has such a stamp.",
                server::kLatencyEdges_ns, totals.latency,
                static_cast<double>(totals.latency_sum_ns) / 1e9);
}

void write_rate(Exposition& out, const Report& report) {
  out.gauge("ntp_server_rate_threatened",
            "1 while datagrams come faster than they can be read: limits are stricter then.",
            report.rate.threatened ? 1 : 0);
  out.gauge("ntp_server_rate_crowd",
            "1 while most requests are above the limit of one address and come from many ports: a "
            "proxy or NAT before many clients, which is not punished.",
            report.rate.crowd_ports > 0 ? 1 : 0);
}

void write_nts(Exposition& out, const Report& report) {
  const KeView& ke = *report.ke;
  write_ke_process(out, "ntp_nts_ke", "of NTS key establishment", ke.process);
  out.counter("ntp_nts_ke_connections_total", "Connections accepted.", ke.counters.accepted);
  out.family("ntp_nts_ke_handshakes_total", "counter",
             "Connections that ended, by outcome; ok: cookies were handed out.");
  for (std::size_t i = 0; i < kKeOutcomes; ++i) {
    out.sample(ke.counters.outcomes[i], {{"outcome", kKeOutcomeNames[i]}});
  }
  out.family("ntp_nts_ke_keys_total", "counter", "Clients that got keys, by AEAD algorithm.");
  for (std::size_t i = 0; i < kKeAeads; ++i) {
    out.sample(ke.counters.aeads[i], {{"aead", kKeAeadNames[i]}});
  }
  out.counter("ntp_nts_ke_accept_errors_total",
              "Connections that had to wait for descriptors, for memory, or for the network.",
              ke.counters.accept_errors);
  out.gauge("ntp_nts_ke_connections_open", "Connections that are open.", ke.counters.open);
  out.gauge("ntp_nts_certificate_loaded",
            "1 while there is a certificate to show, 0 otherwise: then there are no handshakes.",
            ke.certificate.loaded ? 1 : 0);
  out.gauge("ntp_nts_certificate_problem",
            "1 while the files of the certificate and its key cannot be used as they are.",
            ke.certificate.problem.empty() ? 0 : 1);
  if (!ke.certificate.loaded) return;
  out.gauge("ntp_nts_certificate_expiry_timestamp_seconds",
            "When the first certificate of the chain ends, in Unix time.",
            seconds(ke.certificate.valid_until.time_since_epoch()));
  out.gauge("ntp_nts_certificate_expires_in_seconds", "Until then; negative once it is over.",
            seconds(ke.certificate.valid_until - report.now));
}

void write_process(Exposition& out, const Report& report) {
  out.family("ntp_server_build_info", "gauge", "Always 1; the label tells the version.");
  out.sample(1, {{"version", report.version}});
  out.gauge("ntp_server_workers", "Threads that answer requests; 0: one thread does everything.",
            report.workers);
  out.gauge("ntp_server_workers_stalled", "Workers without a sign of life for over 3 s.",
            report.workers_stalled);
  out.family("ntp_server_reloads_total", "counter", "Reloads of the configuration, by result.");
  out.sample(report.reloads, {{"result", "ok"}});
  out.sample(report.reload_errors, {{"result", "error"}});
  write_sandbox(out, "ntp_server_sandbox", "1 for what is in force of the sandbox.",
                report.sandbox);
  out.counter("ntp_server_sandbox_refused_calls_total",
              "System calls that the sandbox refused: a bug, or an intruder.",
              report.sandbox.refused_calls);
}

}  // namespace

std::string metrics(const Report& report) {
  Exposition out;
  write_process(out, report);
  write_system(out, report);
  write_host(out, report);
  if (report.sources) write_sources(out, report);
  write_packets(out, report.totals);
  write_rate(out, report);
  if (report.ke) write_nts(out, report);
  return out.take();
}

}  // namespace ntp::control

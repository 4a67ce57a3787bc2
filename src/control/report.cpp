#include "control/report.h"

#include <fmt/format.h>

#include <numeric>

namespace ntp::control {

void Totals::add(const server::Counters& counters) noexcept {
  received += counters.received.read();
  batches += counters.batches.read();
  for (std::size_t i = 0; i < versions.size(); ++i) versions[i] += counters.versions[i].read();
  for (std::size_t i = 0; i < drops.size(); ++i) drops[i] += counters.drops[i].read();
  kisses += counters.kisses.read();
  leaked += counters.leaked.read();
  lost += counters.lost.read();
  mac_accepted += counters.mac_accepted.read();
  nts_accepted += counters.nts_accepted.read();
  nts_naks += counters.nts_naks.read();
  replies += counters.replies.read();
  send_errors += counters.send_errors.read();
  receive_errors += counters.receive_errors.read();
  stamps_missing += counters.stamps_missing.read();
  stamps_discarded += counters.stamps_discarded.read();
  for (std::size_t i = 0; i < latency.size(); ++i) latency[i] += counters.latency[i].read();
  latency_sum_ns += counters.latency_sum_ns.read();
}

std::uint64_t Totals::accepted() const noexcept {
  return std::accumulate(versions.begin(), versions.end(), std::uint64_t{0});
}

std::uint64_t Totals::ignored() const noexcept {
  return std::accumulate(drops.begin(), drops.end(), std::uint64_t{0});
}

bool is_synchronised(const Report& report) noexcept {
  return report.serving && report.state.synchronised;
}

bool is_local_clock(const Report& report) noexcept {
  return report.serving && !report.state.synchronised;
}

double root_dispersion_now_s(const Report& report) noexcept {
  if (!report.serving) return server::kMaxDispersion_s;
  return server::error_bound_s(report.state, report.raw_now) - report.state.root_delay_s / 2;
}

std::optional<double> error_bound_now_s(const Report& report) noexcept {
  if (!is_synchronised(report)) return std::nullopt;
  return server::error_bound_s(report.state, report.raw_now);
}

double host_offset_s(const Report& report) noexcept {
  return report.state.own_clock ? seconds(report.now - report.state.map(report.raw_now)) : 0;
}

Verdict readiness(const Report& report, double max_error_s) {
  if (!report.serving) return {false, "not synchronised: replies say leap 3"};
  if (!report.state.synchronised) {
    const bool orphan = report.sources && report.sources->state == clock::ClockState::orphan;
    return {false, fmt::format("not synchronised: {} is served at stratum {}",
                               orphan ? "the time of an orphan" : "the local clock",
                               report.state.stratum)};
  }
  const double bound_s = server::error_bound_s(report.state, report.raw_now);
  if (bound_s > max_error_s) {
    return {false,
            fmt::format("synchronised, but the error bound {:.6f} s is over the limit {:.6f} s",
                        bound_s, max_error_s)};
  }
  return {true, fmt::format("synchronised within {:.6f} s", bound_s)};
}

Verdict liveness(const Report& report) {
  if (!report.served_once) {
    return {false, "has not had time to serve yet: " + readiness(report, 0).why};
  }
  if (report.raw_now - report.state.at > server::kStateLifetime) {
    return {false, "nobody has looked at the clock for 10 s"};
  }
  if (report.workers_stalled > 0) {
    return {false, fmt::format("{} of {} workers give no sign of life", report.workers_stalled,
                               report.workers)};
  }
  return {true, "alive"};
}

}  // namespace ntp::control

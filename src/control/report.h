// The one picture of the running server, made once a second or on request; every rendering (text,
// JSON, Prometheus, later chronyc and mode 6) reads it and nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/time.h"
#include "clock/host_clock.h"
#include "control/ke_view.h"
#include "control/source_view.h"
#include "server/counters.h"
#include "server/state.h"

namespace ntp::control {

// Sums of server::Counters over all workers.
struct Totals {
  std::uint64_t received = 0;
  std::uint64_t batches = 0;
  std::array<std::uint64_t, 5> versions{};  // index is the NTP version, 1-4
  std::array<std::uint64_t, server::kDropCount> drops{};
  std::uint64_t kisses = 0;
  std::uint64_t leaked = 0;
  std::uint64_t lost = 0;
  std::uint64_t mac_accepted = 0;
  std::uint64_t nts_accepted = 0;
  std::uint64_t nts_naks = 0;
  std::uint64_t replies = 0;
  std::uint64_t send_errors = 0;
  std::uint64_t receive_errors = 0;
  std::uint64_t stamps_missing = 0;
  std::uint64_t stamps_discarded = 0;
  std::array<std::uint64_t, server::kLatencyBuckets> latency{};
  std::uint64_t latency_sum_ns = 0;

  void add(const server::Counters& counters) noexcept;
  std::uint64_t accepted() const noexcept;  // requests that earned a reply
  std::uint64_t ignored() const noexcept;   // datagrams dropped for any reason
};

// The names of clock::HostStanding, in its order.
inline constexpr std::array<std::string_view, 5> kStandings = {
    "synchronised", "unreadable", "unsynchronised", "suspended", "too_uncertain"};
static_assert(kStandings.size() ==
              static_cast<std::size_t>(clock::HostStanding::too_uncertain) + 1);

struct Report {
  std::string version{};  // "V0.1"
  RealTime now{};         // read together
  RawTime raw_now{};
  double uptime_s = 0;
  server::ServerState state{};  // what is served; age it with server::error_bound_s(state, raw_now)
  bool serving = false;         // replies carry time (leap is not 3)
  bool served_once = false;     // serving was true at least once since the start
  clock::HostView host{};
  std::shared_ptr<const SourceView> sources{};  // null while the host's clock is served
  std::optional<KeView> ke{};                   // empty while NTS is off
  std::uint64_t host_steps = 0;                 // jumps of the host's clock seen since the start
  Totals totals{};
  server::RateView rate{};
  int rate_limit = 0;  // rate.limit
  std::vector<Endpoint> listening{};
  int workers = 0;                 // threads that answer NTP (0: single-threaded)
  int workers_stalled = 0;         // without a sign of life for over 3 s
  double ready_max_error_s = 0.1;  // http.max_error
  std::uint64_t reloads = 0;
  std::uint64_t reload_errors = 0;
  SandboxView sandbox{};
};

// What replies say at raw_now. While the local clock or an orphan's is served by policy there is no
// bound against true time: neither is ever called synchronised.
bool is_synchronised(const Report& report) noexcept;
bool is_local_clock(const Report& report) noexcept;
double root_dispersion_now_s(const Report& report) noexcept;  // kMaxDispersion_s when not serving
std::optional<double> error_bound_now_s(const Report& report) noexcept;  // only when synchronised
double host_offset_s(const Report& report) noexcept;  // the host's clock minus the served one, now

// "synchronised within X": the judgement of /readyz and of healthcheck --max-error.
struct Verdict {
  bool good = false;
  std::string why;  // one line, for people
};
Verdict readiness(const Report& report, double max_error_s);
// Whether the process does its work at all, however well the time is known.
Verdict liveness(const Report& report);

}  // namespace ntp::control

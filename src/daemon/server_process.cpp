#include "daemon/server_process.h"

#include <fmt/format.h>
#include <poll.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <system_error>

#include "base/memory.h"
#include "config/options.h"
#include "control/crowd_notice.h"
#include "control/metrics.h"
#include "control/report.h"
#include "control/status_json.h"
#include "daemon/exposed_secrets.h"
#include "daemon/health_channel.h"
#include "daemon/log.h"
#include "daemon/nts_service.h"
#include "daemon/privileges.h"
#include "daemon/request_log.h"
#include "daemon/sandbox.h"
#include "daemon/self_probe.h"
#include "daemon/source_key_process.h"
#include "daemon/symmetric_key_file.h"
#include "daemon/time_settings.h"
#include "daemon/timekeeper.h"
#include "daemon/workers.h"
#include "http/listen.h"
#include "http/server.h"
#include "os/clocks.h"
#include "os/machine.h"
#include "os/poll_loop.h"
#include "os/port_owner.h"
#include "os/privileges.h"
#include "os/systemd.h"
#include "os/udp_socket.h"
#include "os/unix_socket.h"
#include "version.h"

namespace ntp::daemon {
namespace {

// A signal that arrives just before poll(2) is seen this much later at worst. The single thread has
// no notes of others to collect and wakes once a second for its clock anyway.
constexpr std::chrono::milliseconds kLongestWait{250};
constexpr std::chrono::seconds kLongestWaitAlone{1};
constexpr std::chrono::seconds kNeighbourLook{1};
constexpr std::chrono::seconds kRetry{5};  // of a health channel or HTTP that could not be had
constexpr std::chrono::minutes kSharedAtMost{5};        // before a neighbour on our port is a fault
constexpr std::chrono::milliseconds kProbeMargin{200};  // to answer before the asker gives up
constexpr auto kOneLine = control::JsonForm::one_line;

Workers::Plan worker_plan(const config::Settings& settings) {
  const int threads = settings.server.threads.value_or(os::automatic_workers());
  return {.per_endpoint = threads,
          .calls = threads == 0 ? os::Calls::one : os::Calls::many,
          .uid = ::geteuid() == 0 ? settings.server.uid : ::geteuid()};
}

// "('0.0.0.0', 123)": how the guide's server wrote an address.
std::string guide_form(const Endpoint& endpoint) {
  return fmt::format("('{}', {})", to_string(endpoint.address), endpoint.port);
}

class ServerProcess {
 public:
  ServerProcess(config::Settings settings, const Reload& reload, const std::string& config_file)
      : settings_(std::move(settings)),
        reload_(reload),
        config_file_(config_file),
        loop_([] { return os::raw_now(); }),
        plan_(worker_plan(settings_)),
        workers_(served_, plan_),
        timekeeper_(served_, log_, time_settings(settings_), os::measure_precision()),
        nts_(settings_, loop_, served_, workers_, log_),
        probe_(loop_, served_, workers_) {}

  int run();

 private:
  std::expected<void, StartFailure> bind();
  std::expected<void, StartFailure> start_threads();
  std::expected<void, StartFailure> start();
  void greet() const;
  // Whether a failure is news; then the timers try again.
  enum class Try { first, again };
  void open_health_channel(Try attempt);
  void open_http(Try attempt);
  void watch_workers();
  void arm_housekeeping();
  void housekeeping();
  std::chrono::nanoseconds longest_wait() const;
  void answer_health(const HealthQuestion& question, const HealthChannel::Answer& answer);
  control::Report report() const;
  http::Routes routes() const;
  void reload();
  void reload_or_keep();
  bool refuse(const std::string& why, std::string_view refusal);
  void apply(config::Settings next);
  bool may_apply(const config::Settings& next);
  bool move_listeners(const config::Settings& next, const AccessPlan& access);
  void publish_policy();
  void tell_shortages();
  void tell_exposed_secrets() const;
  void use_symmetric_keys(SymmetricKeyFile file);
  std::expected<TimeSettings, std::string> settings_of_time(const config::Settings& settings,
                                                            const SymmetricKeyFile& file) const;
  void stop();

  config::Settings settings_;
  const Reload& reload_;
  const std::string& config_file_;
  mutable Log log_;
  Sandbox sandbox_;
  Served served_;
  os::PollLoop loop_;
  Workers::Plan plan_;
  Workers workers_;
  Timekeeper timekeeper_;
  NtsService nts_;
  SourceKeyProcess source_keys_;
  SelfProbe probe_;
  std::optional<HealthChannel> health_;
  std::optional<http::Server> http_;
  std::vector<os::PollLoop::Id> worker_watches_;
  os::PollLoop::Id http_retry_{};
  RawTime started_ = os::raw_now();
  bool served_once_ = false;
  bool socket_activated_ = false;
  // Since the start, which fails where it may not.
  const bool may_set_time_ = settings_.clock.steer == clock::Actuator::system;
  std::uint64_t reloads_ = 0;
  std::uint64_t reload_errors_ = 0;
  std::uint64_t shortages_told_ = 0;
  RequestLog request_log_;
  control::CrowdNotice crowd_;
};

std::expected<void, StartFailure> ServerProcess::bind() {
  os::raise_bind_capability();
  os::make_runtime_directory(settings_.server.uid, settings_.server.gid);
  if (auto bound = nts_.bind(settings_, plan_.uid); !bound) return bound;
  if (const auto fds = os::take_listen_fds(); !fds.empty()) {
    socket_activated_ = true;
    return workers_.adopt(fds);
  }
  return workers_.bind(settings_.server.listen, settings_.server.listen_is_default);
}

void ServerProcess::greet() const {
  log_.info("ntp-server " + std::string(kVersion) + " starting",
            {{"pid", fmt::to_string(::getpid())},
             {"threads", fmt::to_string(workers_.all().size() * (plan_.per_endpoint > 0))}});
  for (const std::string& warning : settings_.warnings) log_.warning(warning);
  if (socket_activated_ && !settings_.server.listen_is_default) {
    log_.warning("server.listen has no effect: the sockets that systemd passed are served");
  }
  if (const auto problem = os::time_zone_problem(); !problem.empty()) log_.warning(problem);
  for (const Endpoint& endpoint : workers_.unsteered()) {
    log_.warning(
        fmt::format("the kernel cannot pick the worker by the client's address on UDP {}: "
                    "a client's requests may meet any worker",
                    to_string(endpoint)));
  }
  for (const Endpoint& endpoint : workers_.listening()) {
    log_.always("Local socket:  " + guide_form(endpoint));
    if (const auto owner = os::udp_port_owner(endpoint, workers_.own_sockets()); !owner.empty()) {
      log_.warning(fmt::format("UDP {} is shared with {}: it answers until it ends",
                               to_string(endpoint), owner));
    }
  }
  for (const Endpoint& endpoint : nts_.listening()) {
    log_.info("NTS key establishment", {{"address", to_string(endpoint)}});
  }
}

void ServerProcess::open_health_channel(Try attempt) {
  if (settings_.health_socket == "off") return;
  std::string failures;
  std::string better_place;
  for (const std::string& path : os::health_socket_paths(settings_.health_socket)) {
    auto listener = os::listen_unix(path);
    if (listener) {
      health_.emplace(
          loop_, std::move(*listener), path,
          HealthChannel::Answers{
              .health =
                  [this](const HealthQuestion& question, const HealthChannel::Answer& answer) {
                    answer_health(question, answer);
                  },
              .status =
                  [this] {
                    return MemoryReserve::refill() ? control::status_json(report(), kOneLine)
                                                   : std::string("{}");
                  }});
      log_.debug("health channel", {{"path", path}});
      if (!better_place.empty()) {
        log_.warning(fmt::format(
            "`healthcheck` asks at {}, which another ntp-server holds or a dead one has left; ask "
            "this one with `healthcheck --socket {}`",
            better_place, path));
      }
      return;
    }
    if (listener.error().code == EADDRINUSE && better_place.empty()) better_place = path;
    failures += (failures.empty() ? "" : "; ") + listener.error().text();
  }
  if (attempt == Try::first) {
    log_.warning("`ntp-server healthcheck` will not work yet: " + failures);
  }
}

void ServerProcess::open_http(Try attempt) {
  http_.reset();
  loop_.disarm(http_retry_);
  if (!settings_.http.listen) return;
  loop_.arm(http_retry_, loop_.now() + kRetry);
  auto listener = http::listen_on(*settings_.http.listen);
  if (!listener) {
    if (attempt == Try::first) {
      log_.warning("HTTP is not served yet, trying again every 5 s: " + listener.error().text());
    }
    return;
  }
  const Endpoint address = os::local_endpoint(listener->get()).value_or(*settings_.http.listen);
  http_.emplace(loop_, std::move(*listener), routes(),
                http::Options{.date = [this]() -> std::optional<RealTime> {
                  const auto state = served_.state.read();
                  if (!state.synchronised || !server::is_serving(state, loop_.now())) return {};
                  return os::real_now();
                }});
  loop_.disarm(http_retry_);
  log_.info("HTTP", {{"address", to_string(address)}});
}

// The single thread answers NTP itself, one datagram at a time.
void ServerProcess::watch_workers() {
  for (const auto watch : worker_watches_) loop_.unwatch(watch);
  worker_watches_.clear();
  if (plan_.per_endpoint > 0) return;
  for (Worker* worker : workers_.all()) {
    worker_watches_.push_back(loop_.watch(worker->fd(), POLLIN, [this, worker](short) {
      worker->serve_ready();
      request_log_.print(workers_, loop_.now(), log_);
    }));
  }
}

std::expected<void, StartFailure> ServerProcess::start_threads() {
  if (plan_.per_endpoint > 0) {
    timekeeper_.start();
    if (may_set_time_) give_up_the_rest(log_);  // only the timekeeper has use for it
  } else {
    timekeeper_.run_in(loop_);
  }
  if (const auto started = workers_.start(); !started) return started;
  watch_workers();
  return {};
}

std::chrono::nanoseconds ServerProcess::longest_wait() const {
  if (plan_.per_endpoint == 0) return kLongestWaitAlone;
  return kLongestWait;
}

void ServerProcess::arm_housekeeping() {
  http_retry_ = loop_.add_timer([this](RawTime) { open_http(Try::again); });
  loop_.every(longest_wait(), [this](RawTime) { housekeeping(); });
  loop_.every(kRetry, [this](RawTime) {
    if (!health_) open_health_channel(Try::again);
  });
  loop_.every(kNeighbourLook, [this](RawTime) {
    for (const Endpoint& endpoint : workers_.steer_when_alone()) {
      log_.info("UDP " + to_string(endpoint) + " is no longer shared");
    }
  });
  if (const auto interval = os::watchdog_interval()) {
    loop_.every(*interval, [this](RawTime) {
      const RawTime now = loop_.now();
      const bool clock_is_kept = now - served_.state.read().at <= server::kStateLifetime;
      if (workers_.stalled(now) == 0 && clock_is_kept) os::notify_systemd("WATCHDOG=1");
    });
  }
}

void ServerProcess::housekeeping() {
  const auto state = served_.state.read();
  const bool serving = server::is_serving(state, loop_.now());
  served_once_ = served_once_ || serving;
  workers_.forget_old();
  if (plan_.per_endpoint == 0) {
    for (Worker* worker : workers_.all()) worker->look_at_the_time();
  }
  const auto crowd = crowd_.look(workers_.rate_view(), settings_.rate.limit, loop_.now());
  if (crowd) log_.warning(*crowd);
  request_log_.print(workers_, loop_.now(), log_);
  tell_shortages();
  sandbox_.tell_refusals(log_);
}

void ServerProcess::tell_exposed_secrets() const {
  if (settings_.server.sandbox == config::Sandbox::off) return;
  for (const auto& [reach, beside] : {std::pair(nts_.reach(), "the certificate or its key"),
                                      {source_keys_.reach(), "the roots of a source (nts_ca)"}}) {
    for (const std::string& file : exposed_secrets(settings_, reach)) {
      log_.warning(
          fmt::format("{} lies where {} does, so that the process of key establishment, "
                      "which reads what strangers send, could read it; put it into "
                      "another directory",
                      file, beside));
    }
  }
}

void ServerProcess::tell_shortages() {
  const bool is_whole = MemoryReserve::refill();
  const auto shortages = MemoryReserve::times_used() + loop_.times_put_off();
  if (std::exchange(shortages_told_, shortages) == shortages) return;
  log_.error(fmt::format("out of memory: {}", is_whole ? "the reserve was used, and is whole again"
                                                       : "what can wait is put off"));
}

void ServerProcess::answer_health(const HealthQuestion& question,
                                  const HealthChannel::Answer& answer) {
  housekeeping();
  const auto timeout =
      std::max<std::chrono::milliseconds>(question.timeout - kProbeMargin, question.timeout / 2);
  probe_.start(timeout, [this, question, answer](const ProbeResult& probe) {
    const control::Report now = report();
    const control::Verdict alive = control::liveness(now);
    const control::Verdict ready = control::readiness(now, question.max_error_s.value_or(HUGE_VAL));
    if (!probe.answered) return answer("unhealthy: " + probe.text);
    // A successor waits for its predecessor to end; but not for ever, and another one's time is no
    // proof of ours.
    if (probe.foreign && (question.max_error_s || now.uptime_s > seconds(kSharedAtMost))) {
      return answer("unhealthy: " + probe.text);
    }
    if (!alive.good) return answer("unhealthy: " + alive.why);
    if (question.max_error_s && !ready.good) return answer("unhealthy: " + ready.why);
    answer(fmt::format("healthy: {}; {}", probe.text, ready.why));
  });
}

control::Report ServerProcess::report() const {
  control::Report report;
  report.version = kVersion;
  const Instant now = os::now();
  report.now = now.real;
  report.raw_now = now.raw;
  report.uptime_s = seconds(report.raw_now - started_);
  report.state = served_.state.read();
  report.serving = server::is_serving(report.state, report.raw_now);
  report.served_once = served_once_ || report.serving;
  report.host = timekeeper_.view();
  report.host_steps = timekeeper_.steps();
  report.sources = timekeeper_.sources();
  report.totals = workers_.totals();
  report.rate = workers_.rate_view();
  report.rate_limit = settings_.rate.limit;
  report.listening = workers_.listening();
  report.workers = plan_.per_endpoint > 0 ? static_cast<int>(workers_.all().size()) : 0;
  report.workers_stalled = workers_.stalled(report.raw_now);
  nts_.fill(report);
  report.ready_max_error_s = seconds(settings_.http.max_error);
  report.reloads = reloads_;
  report.reload_errors = reload_errors_;
  report.sandbox = sandbox_.view();
  return report;
}

http::Routes ServerProcess::routes() const {
  const auto verdict = [](const control::Verdict& v) {
    return http::Response{.status = v.good ? http::Status::ok : http::Status::service_unavailable,
                          .body = v.why + "\n"};
  };
  const auto page = [](auto make) {
    return [make](const http::Request&) {
      if (MemoryReserve::refill()) return make();
      return http::Response{.status = http::Status::service_unavailable, .body = "out of memory\n"};
    };
  };
  return {
      {"/metrics", page([this] {
         return http::Response{.content_type = std::string(control::kMetricsContentType),
                               .body = control::metrics(report())};
       })},
      {"/api/v1/status", page([this] {
         return http::Response{.content_type = "application/json",
                               .body = control::status_json(report())};
       })},
      {"/healthz",
       [this, verdict](const http::Request&) { return verdict(control::liveness(report())); }},
      {"/readyz",
       [this, verdict](const http::Request&) {
         const auto now = report();
         return verdict(control::readiness(now, now.ready_max_error_s));
       }},
  };
}

void ServerProcess::reload_or_keep() {
  const auto before = reloads_ + reload_errors_;
  if (within_memory([this] { reload(); })) return;
  if (reloads_ + reload_errors_ == before) ++reload_errors_;
  within_memory([this] {
    log_.error(
        "out of memory while reloading; unless it says otherwise, the old configuration "
        "stays in force");
  });
}

void ServerProcess::reload() {
  os::notify_systemd(os::reloading_message());
  auto next = reload_();
  if (next) {
    apply(std::move(*next));
  } else {
    ++reload_errors_;
    for (const std::string& problem : next.error()) log_.error(problem);
    log_.error("the new configuration has errors; the old one stays in force");
  }
  os::notify_systemd("READY=1");
}

bool ServerProcess::refuse(const std::string& why, std::string_view refusal) {
  ++reload_errors_;
  log_.error(why);
  log_.error(fmt::format("the new configuration {}; the old one stays in force", refusal));
  return false;
}

// Its other fields are the self-probe's.
void ServerProcess::publish_policy() {
  const auto count = [](int number) { return static_cast<std::uint32_t>(number); };
  const config::RateSettings& rate = settings_.rate;
  auto policy = served_.policy.read();
  policy.poll_minimum = static_cast<std::int8_t>(settings_.server.poll_minimum);
  policy.log_requests = settings_.log.requests;
  policy.rate = {.limit = count(rate.limit),
                 .burst = count(rate.burst),
                 .leak = count(rate.leak),
                 .prefix_limit = count(rate.prefix_limit),
                 .kiss = rate.kiss};
  served_.policy.publish(policy);
}

bool ServerProcess::may_apply(const config::Settings& next) {
  if (next.clock.steer == clock::Actuator::system && !may_set_time_) {
    return refuse("clock.steer = \"system\" needs CAP_SYS_TIME, which was given up at the start",
                  "cannot be served without a restart");
  }
  if (const auto why = source_keys_.why_not(next); !why.empty()) {
    return refuse(why, "cannot be served without a restart");
  }
  if (const auto path = sandbox_.out_of_reach(next); !path.empty()) {
    return refuse("the sandbox has no access to " + path, "cannot be served without a restart");
  }
  if (next.http.listen && next.http.listen != settings_.http.listen) {
    // The same port on another address can only be had once the old one is given up.
    const auto trial = http::listen_on(*next.http.listen);
    const bool ours =
        settings_.http.listen && settings_.http.listen->port == next.http.listen->port;
    if (!trial && !(ours && trial.error().code == EADDRINUSE)) {
      return refuse(trial.error().text(), "cannot be served");
    }
  }
  return true;
}

bool ServerProcess::move_listeners(const config::Settings& next, const AccessPlan& access) {
  if (next.server.listen == settings_.server.listen) return true;
  if (socket_activated_) {
    log_.warning("server.listen has changed, but systemd's sockets are served");
    return true;
  }
  const auto moved = workers_.change(next.server.listen, next.server.listen_is_default, access);
  if (!moved) {
    return refuse(moved.error().text, moved.error().error == EACCES
                                          ? "cannot be served without a restart"
                                          : "cannot be served");
  }
  watch_workers();
  for (const Endpoint& endpoint : workers_.listening()) {
    log_.always("Local socket:  " + guide_form(endpoint));
  }
  return true;
}

void ServerProcess::apply(config::Settings next) {
  const auto changed = config::changed(settings_, next);
  if (!may_apply(next)) return;
  auto keys = read_symmetric_keys(next.server.keys_file);
  if (!keys) {
    refuse(keys.error(), "cannot be served");
    return;
  }
  auto time = settings_of_time(next, *keys);
  if (!time) {
    refuse(time.error(), "cannot be served");
    return;
  }
  next.server.threads = settings_.server.threads;
  next.server.uid = settings_.server.uid;
  next.server.gid = settings_.server.gid;
  const AccessPlan access = access_plan(next.access);
  if (!move_listeners(next, access)) return;
  use_symmetric_keys(std::move(*keys));
  const bool http_moved = next.http.listen != settings_.http.listen;
  const bool health_moved = next.health_socket != settings_.health_socket;
  settings_ = std::move(next);
  ++reloads_;
  log_.configure(settings_.log);
  workers_.set_access(access);
  publish_policy();
  timekeeper_.configure(std::move(*time));
  if (health_moved) {
    health_.reset();
    open_health_channel(Try::first);
  }
  if (http_moved) open_http(Try::first);
  for (const std::string& warning : settings_.warnings) log_.warning(warning);
  for (const config::Option* option : changed) {
    if (option->reloadable) continue;
    log_.warning(fmt::format("{} has changed: a restart is needed for it", option->key));
  }
  nts_.look_again();
  log_.info("configuration reloaded");
}

std::expected<TimeSettings, std::string> ServerProcess::settings_of_time(
    const config::Settings& settings, const SymmetricKeyFile& file) const {
  auto keys = source_keys(settings, file.keys.get());
  if (!keys) return std::unexpected(std::move(keys.error()));
  TimeSettings time = time_settings(settings);
  time.keys = std::move(*keys);
  time.channel = source_keys_.channel();
  return time;
}

void ServerProcess::use_symmetric_keys(SymmetricKeyFile file) {
  for (const std::string& warning : file.warnings) log_.warning(warning);
  workers_.set_symmetric_keys(std::move(file.keys));
}

// Whatever of it lacks memory, the rest is done.
void ServerProcess::stop() {
  within_memory([this] {
    os::notify_systemd("STOPPING=1");
    log_.info("stopping: answering what has arrived");
  });
  http_.reset();
  health_.reset();
  nts_.begin_stop();
  within_memory([this] { workers_.stop(); });
  timekeeper_.stop();
  source_keys_.stop();
  within_memory([this] {
    sandbox_.tell_refusals(log_);
    nts_.finish_stop();
    const auto totals = workers_.totals();
    log_.info("stopped", {{"received", fmt::to_string(totals.received)},
                          {"replies", fmt::to_string(totals.replies)}});
  });
}

std::expected<void, StartFailure> ServerProcess::start() {
  if (auto bound = bind(); !bound) return bound;
  greet();
  if (auto given_up = give_up_privileges(settings_, log_); !given_up) return given_up;
  // Forks: no thread may be there yet, and no sandbox, which is another one for that process.
  if (auto started = nts_.start(); !started) return started;
  if (auto started = source_keys_.start(settings_); !started) return started;
  // As whom we serve, so that a reload will not find out that we may not read them; and after the
  // fork, so that key establishment does not have them.
  auto keys = read_symmetric_keys(settings_.server.keys_file);
  if (!keys) return std::unexpected(StartFailure{keys.error(), EX_NOINPUT});
  auto time = settings_of_time(settings_, *keys);
  if (!time) return std::unexpected(StartFailure{time.error(), EX_CONFIG});
  timekeeper_.configure(std::move(*time));
  use_symmetric_keys(std::move(*keys));
  tell_exposed_secrets();
  if (auto inside = sandbox_.enter(settings_, config_file_, log_); !inside) return inside;
  return start_threads();
}

int ServerProcess::run() {
  log_.configure(settings_.log);
  os::install_signal_flags();
  workers_.set_access(access_plan(settings_.access));
  publish_policy();
  if (const auto started = start(); !started) {
    log_.error(started.error().text);
    return started.error().exit_code;
  }
  nts_.run();
  open_health_channel(Try::first);
  arm_housekeeping();
  open_http(Try::first);
  os::notify_systemd("READY=1\nSTATUS=serving");
  log_.info("ready", {{"start", fmt::format("{:.1f}ms", seconds(loop_.now() - started_) * 1e3)}});
  while (!os::stop_requested()) {
    loop_.run_once(longest_wait());
    if (os::take_reload_request()) reload_or_keep();
  }
  stop();
  return EX_OK;
}

}  // namespace

int run_server(config::Settings settings, const Reload& reload, const std::string& config_file) {
  try {
    return std::make_unique<ServerProcess>(std::move(settings), reload, config_file)->run();
  } catch (const std::system_error& error) {  // of a thread that is no worker
    const StartFailure failure = cannot_start_thread(error);
    Log().error(failure.text);
    return failure.exit_code;
  }
}

}  // namespace ntp::daemon

#include "daemon/ke_link.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sysexits.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ke/listen.h"
#include "ke/sandbox.h"
#include "os/clocks.h"
#include "os/udp_socket.h"
#include "tls/server_context.h"

namespace ntp::daemon {
namespace {

constexpr std::uint16_t kNtpPort = 123;
constexpr int kMostMessages = 64;  // in a turn: a process that has gone mad must not keep us busy
constexpr std::chrono::minutes kLookAtExpiry{1};
constexpr std::chrono::milliseconds kMoreThanGrace{500};

void add(control::KeCounters& sum, const control::KeCounters& more) {
  for (std::size_t i = 0; i < sum.outcomes.size(); ++i) sum.outcomes[i] += more.outcomes[i];
  for (std::size_t i = 0; i < sum.aeads.size(); ++i) sum.aeads[i] += more.aeads[i];
  sum.accepted += more.accepted;
  sum.accept_errors += more.accept_errors;
}

int exit_code(int code) { return code == EACCES || code == EPERM ? EX_NOPERM : EX_OSERR; }

}  // namespace

// After a failed start the process must not outlive us by long.
KeLink::~KeLink() { child_.channel.reset(); }

std::expected<void, StartFailure> KeLink::bind(const config::Settings& settings,
                                               std::uint32_t uid) {
  const config::NtsSettings& nts = settings.nts;
  if (!nts.enabled()) return {};
  auto bound = ke::bind_all(nts.listen, nts.listen_is_default, uid);
  if (!bound) {
    const auto& error = bound.error();
    return std::unexpected(StartFailure{error.text(), exit_code(error.code), error.code});
  }
  listeners_ = std::move(*bound);
  plan_ = {.certificate = nts.certificate, .key = nts.key, .sandbox = settings.server.sandbox};
  const std::vector<Endpoint>& ntp = settings.server.listen;
  // Clients take the usual port unless they are told another.
  const bool usual = std::ranges::any_of(ntp, [](const Endpoint& e) { return e.port == kNtpPort; });
  if (!usual && ntp.front().port != 0) plan_.ntp_port = ntp.front().port;
  for (const os::Fd& listener : listeners_) plan_.listeners.push_back(listener.get());
  return {};
}

std::expected<void, StartFailure> KeLink::start() {
  if (!enabled()) return {};
  auto child = ke::start_process(plan_);
  if (!child) {
    return std::unexpected(StartFailure{child.error().text(), EX_OSERR, child.error().code});
  }
  child_ = std::move(*child);
  return {};
}

void KeLink::watch() {
  if (!enabled()) return;
  loop_.every(kLookAtExpiry, [this](RawTime) { look_at_expiry(); });
  watch_ = loop_.watch(child_.channel.get(), POLLIN, [this](short) { collect(); });
}

void KeLink::collect() {
  ke::MessageBytes bytes;
  for (int i = 0; i < kMostMessages; ++i) {
    const ssize_t size =
        ::recv(child_.channel.get(), bytes.data(), bytes.size(), MSG_TRUNC | MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return lose();
    const auto message =
        size == static_cast<ssize_t>(bytes.size()) ? ke::decode(bytes) : std::nullopt;
    if (message) take(*message);
  }
}

void KeLink::take(const ke::Message& message) {
  ke::note(view_.process, message);
  if (std::holds_alternative<ke::Started>(message)) {
    add(before_, std::exchange(view_.counters, {}));
    is_told_ = false;
    deliver();
  } else if (std::holds_alternative<ke::Ended>(message)) {
    is_told_ = false;
    view_.counters.open = 0;
  } else if (const auto* counted = std::get_if<ke::Counted>(&message)) {
    view_.counters = counted->counters;
  } else if (const auto* shown = std::get_if<ke::Shown>(&message)) {
    view_.certificate = shown->certificate;
    look_at_expiry();
  } else if (const auto* told = std::get_if<ke::Told>(&message)) {
    take(*told);
  }
}

void KeLink::take(const ke::Told& told) {
  const auto permit = lines_.ask(loop_.now());
  if (permit.suppressed > 0) {
    log_.info(fmt::format("suppressed {} lines about NTS", permit.suppressed));
  }
  if (!permit.granted) return;
  if (told.level == ke::Told::Level::error) return log_.error(told.text);
  if (told.level == ke::Told::Level::warning) return log_.warning(told.text);
  log_.info(told.text);
}

// The keeper, which does nothing but wait, was ended by somebody. No other one is made: the sandbox
// does not let a process with threads and network fork.
void KeLink::lose() {
  loop_.unwatch(watch_);
  child_.channel.reset();
  view_.process.up = false;
  view_.counters.open = 0;
  log_.error("NTS: the keeper of key establishment is gone; restart the server to have it again");
}

bool KeLink::send(const ke::Message& message) {
  auto bytes = ke::encode(message);
  const bool sent = child_.channel && ::send(child_.channel.get(), bytes.data(), bytes.size(),
                                             MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  ::explicit_bzero(bytes.data(), bytes.size());
  return sent;
}

void KeLink::use(const ke::SealingKey& key) {
  key_ = key;
  is_told_ = false;
  deliver();
}

void KeLink::deliver() {
  if (key_ && !is_told_) is_told_ = send(*key_);
}

void KeLink::look_again() { send(ke::LookAgain{}); }

// A month, a week and a day before the end, and then daily: the text changes with the days.
void KeLink::look_at_expiry() {
  const auto& shown = view_.certificate;
  if (!shown.loaded) return;
  const tls::CertificateFacts facts{.valid_from = shown.valid_from,
                                    .valid_until = shown.valid_until};
  const RealTime now = os::real_now();
  const auto days = tls::days_left(facts, now);
  const std::string text = tls::validity_warning(facts, now);
  const int step = text.empty()               ? 0
                   : now >= facts.valid_until ? 4
                   : days < 1                 ? 3
                   : days < 7                 ? 2
                                              : 1;
  const std::string state =
      fmt::format("{} {}", shown.valid_until.time_since_epoch().count(), step);
  if (std::exchange(validity_, state) == state || step == 0) return;
  log_.warning("NTS: " + text, {{"subject", shown.subject}});
}

os::Reach KeLink::reach() const { return enabled() ? ke::reach_of(plan_) : os::Reach{}; }

control::KeView KeLink::view() const {
  control::KeView view = view_;
  const std::uint64_t open = view.counters.open;
  add(view.counters, before_);
  view.counters.open = open;
  return view;
}

std::vector<Endpoint> KeLink::listening() const {
  std::vector<Endpoint> endpoints;
  for (const os::Fd& listener : listeners_) {
    if (const auto endpoint = os::local_endpoint(listener.get())) endpoints.push_back(*endpoint);
  }
  return endpoints;
}

void KeLink::begin_stop() {
  if (!child_.channel) return;
  loop_.unwatch(watch_);
  ke::begin_stop(child_);
}

void KeLink::finish_stop() { ke::finish_stop(child_, ke::kGrace + kMoreThanGrace); }

}  // namespace ntp::daemon

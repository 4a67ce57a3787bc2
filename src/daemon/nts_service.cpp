#include "daemon/nts_service.h"

#include "crypto/secret.h"
#include "daemon/time_settings.h"
#include "os/clocks.h"

namespace ntp::daemon {
namespace {

constexpr std::chrono::seconds kLook{1};

}  // namespace

NtsService::NtsService(const config::Settings& settings, os::PollLoop& loop, const Served& served,
                       Workers& workers, Log& log)
    : loop_(loop),
      served_(served),
      workers_(workers),
      keys_(settings.nts, state_directory(settings.clock.state_directory), log, random_),
      ke_(loop, log) {}

std::expected<void, StartFailure> NtsService::bind(const config::Settings& settings,
                                                   std::uint32_t uid) {
  return ke_.bind(settings, uid);
}

void NtsService::run() {
  if (!ke_.enabled()) return;
  ke_.watch();
  look();
  loop_.every(kLook, [this](RawTime) { look(); });
}

void NtsService::look() {
  auto state = served_.state.read();
  const Instant now = os::now();
  const auto lead = os::boot_lead();
  if (server::slept(lead - state.boot_lead, now.raw - state.at)) state = {};
  const CookieKeyKeeper::Time time{
      .raw = now.raw,
      .real = state.own_clock ? state.map(now.raw) : now.real,
      .known = state.synchronised && server::is_serving(state, now.raw),
      .boot_lead = lead};
  ke_.deliver();
  if (!keys_.look(time)) return;
  workers_.set_cookie_keys(keys_.keys());
  ke_.use({keys_.sealing_key()});
  crypto::wipe_stack();
}

void NtsService::look_again() {
  ke_.look_again();
  keys_.look_again();
}

void NtsService::fill(control::Report& report) const {
  if (!ke_.enabled()) return;
  report.ke = ke_.view();
  report.ke->keys = keys_.where();
  report.ke->keys_problem = keys_.problem();
}

void NtsService::finish_stop() {
  keys_.keep();
  ke_.finish_stop();
}

}  // namespace ntp::daemon

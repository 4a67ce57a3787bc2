#include "clock/host_clock.h"

#include <algorithm>
#include <cmath>

namespace ntp::clock {
namespace {

// kernel/time/ntp.c adds MAXFREQ (500 ppm) to maxerror at every second.
constexpr std::int64_t kMaxerrorGrowth_us = 500;
constexpr double kMaxerrorRate = 500e-6;
// More apart than this (with the most that a slew can do in between) is a step or a sleep.
constexpr double kJump_s = 0.010;
constexpr double kMaxSlewRate = 0.1;  // adjtimex tick allows 10 %

}  // namespace

server::ServerState HostClock::update(const KernelReading& reading,
                                      const HostPolicy& policy) noexcept {
  notice_jumps(reading);
  notice_reset(reading);
  view_.reading = reading;
  const double kernel_s = static_cast<double>(reading.maxerror_us) * 1e-6;
  const double pending_s =
      std::abs(reading.offset_s) + static_cast<double>(reading.esterror_us) * 1e-6;
  view_.error_bound_s =
      std::max(kernel_s, pending_s) +
      (view_.maxerror_is_meaningless ? policy.error_unknown_s : policy.error_floor_s);
  view_.standing = judge(reading, policy);
  before_ = reading;

  server::ServerState state;
  state.precision = static_cast<std::int8_t>(precision_);
  state.reftime = NtpTimestamp::from(reading.real);
  state.at = reading.raw;
  state.boot_lead = reading.boot_lead;
  if (view_.standing == HostStanding::synchronised) {
    state.leap = reading.insert_leap   ? wire::Leap::insert
                 : reading.delete_leap ? wire::Leap::remove
                                       : wire::Leap::none;
    state.synchronised = true;
    state.stratum = policy.stratum;
    state.refid = server::kRefidHost;
    state.root_dispersion_s = view_.error_bound_s;
    state.dispersion_rate = kMaxerrorRate;
  } else if (policy.unsynchronised == Unsynchronised::local &&
             view_.standing !=
                 HostStanding::suspended) {  // then even the local clock has stood still
    state.leap = wire::Leap::none;
    state.stratum = policy.local_stratum;
    state.refid = server::kRefidLocal;
    state.root_dispersion_s = policy.error_floor_s;  // against itself: LOCL is its own reference
    state.dispersion_rate = 0;
  }
  return state;
}

// systemd-timesyncd writes maxerror 0 whenever it adjusts; the kernel then counts 500 us a second.
// A value on that grid after a fall (or at the first look) says nothing about the true error.
void HostClock::notice_reset(const KernelReading& reading) noexcept {
  const bool on_grid = reading.maxerror_us % kMaxerrorGrowth_us == 0;
  if (!before_) {
    view_.maxerror_is_meaningless = on_grid;
  } else if (reading.maxerror_us < before_->maxerror_us) {
    // It has grown since the reset, which was at some time since the reading before.
    const auto elapsed = reading.raw - before_->raw + (reading.boot_lead - before_->boot_lead);
    const auto seconds_since = std::chrono::ceil<std::chrono::seconds>(elapsed).count() + 2;
    view_.maxerror_is_meaningless =
        on_grid &&
        reading.maxerror_us <= std::max<std::int64_t>(4, seconds_since) * kMaxerrorGrowth_us;
    slept_ = false;  // somebody has judged the clock anew
  }
}

void HostClock::notice_jumps(const KernelReading& reading) noexcept {
  view_.stepped_s.reset();
  if (!before_) return;
  if (server::slept(reading.boot_lead - before_->boot_lead, reading.raw - before_->raw)) {
    slept_ = true;
  }
  const double raw_s = seconds(reading.raw - before_->raw);
  // REALTIME against BOOTTIME: slewing moves both alike, a sleep as well.
  const double boot_s = raw_s + seconds(reading.boot_lead - before_->boot_lead);
  const double jump_s = seconds(reading.real - before_->real) - boot_s;
  if (std::abs(jump_s) > kJump_s + kMaxSlewRate * std::abs(raw_s)) view_.stepped_s = jump_s;
}

HostStanding HostClock::judge(const KernelReading& reading,
                              const HostPolicy& policy) const noexcept {
  if (!reading.available) return HostStanding::unreadable;
  if (reading.unsynchronised) return HostStanding::unsynchronised;
  if (slept_) return HostStanding::suspended;
  if (view_.error_bound_s > policy.max_root_distance_s) return HostStanding::too_uncertain;
  return HostStanding::synchronised;
}

}  // namespace ntp::clock

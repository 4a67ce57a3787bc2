#include "server/timescale.h"

namespace ntp::server {
namespace {

// A stamp that is older than any queue can explain: the host's clock was stepped in between.
constexpr std::chrono::seconds kMaxQueueing{1};
constexpr std::chrono::milliseconds kMaxQueueingOwn{100};
// REALTIME against RAW: more than this, and what a slew of 600 ppm explains, is a step.
constexpr std::chrono::milliseconds kStep{1};
constexpr double kMaxSlew = 600e-6;

bool stepped_between(const Instant& earlier, const Instant& later) noexcept {
  const auto raw = later.raw - earlier.raw;
  const double moved_s = seconds((later.real - earlier.real) - raw);
  const double allowed_s = seconds(kStep) + kMaxSlew * seconds(raw);
  return moved_s > allowed_s || moved_s < -allowed_s;
}

}  // namespace

void Timescale::begin(const ServerState& state, const Instant& read) noexcept {
  stepped_ = before_ && stepped_between(*before_, read);
  before_ = read;
  read_ = read;
  own_ = state.own_clock;
  map_ = state.map;
}

Timescale::Arrival Timescale::arrival(const std::optional<RealTime>& stamp) const noexcept {
  const NtpTimestamp now = own_ ? at(read_.raw) : at(read_.real);
  if (!stamp) return {now, Origin::missing};
  const auto age = read_.real - *stamp;
  if (age < age.zero()) return {now, Origin::discarded};
  if (!own_) {
    if (age > kMaxQueueing) return {now, Origin::discarded};
    return {at(*stamp), Origin::kernel};
  }
  if (stepped_ || age > kMaxQueueingOwn) return {now, Origin::discarded};
  return {at(read_.raw - age), Origin::kernel};
}

}  // namespace ntp::server

// The timescale of replies: the host's CLOCK_REALTIME, or a clock of our own over the raw one.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "server/state.h"

namespace ntp::server {

// Turns the kernel's receive stamps, which are readings of CLOCK_REALTIME, and readings of the
// clocks into served time. Where a clock of our own is served, a stamp only tells how long the
// datagram has waited: whoever steps or slews the host moves nothing (golden rule G10).
class Timescale {
 public:
  enum class Origin : std::uint8_t {
    kernel,     // the stamp
    missing,    // there was none: the reading after the receive
    discarded,  // it disagreed with the clocks: likewise
  };
  struct Arrival {
    NtpTimestamp at{};
    Origin origin = Origin::missing;
  };

  // Begins a batch: `read` is from just after its receive.
  void begin(const ServerState& state, const Instant& read) noexcept;

  Arrival arrival(const std::optional<RealTime>& stamp) const noexcept;

  // Which clock to read for the transmit stamp, and what its reading is in served time.
  bool is_own() const noexcept { return own_; }
  NtpTimestamp at(RealTime real) const noexcept { return NtpTimestamp::from(real); }
  NtpTimestamp at(RawTime raw) const noexcept { return NtpTimestamp::from(map_(raw)); }

 private:
  bool own_ = false;
  bool stepped_ = false;  // the host's clock was, since the batch before
  LeapingMap map_{};
  Instant read_{};
  std::optional<Instant> before_;
};

}  // namespace ntp::server

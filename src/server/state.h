// What the keeper of the clock tells the workers about the time that they serve.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock_map.h"
#include "base/time.h"
#include "wire/header.h"

namespace ntp::server {

inline constexpr std::uint32_t kRefidLocal = wire::refid_of("LOCL");
// A host clock that somebody else keeps: 127.127.0.1, a loopback number that no interface carries,
// so that no client takes it for its own address and sees a loop (RFC 5905 section 13.2, TEST 7).
inline constexpr std::uint32_t kRefidHost = 0x7f7f0001;
// An orphan that leads (clock/discipline.h) goes by a number out of 240.0.0.0/4, likewise.
inline constexpr std::uint32_t kRefidOrphans = 0xf0000000;

// Past this age nobody keeps the clock any more: replies say leap 3.
inline constexpr std::chrono::seconds kStateLifetime{10};
// The largest dispersion of the protocol (RFC 5905 MAXDISP), sent while not synchronised.
inline constexpr double kMaxDispersion_s = 16.0;

struct ServerState {
  wire::Leap leap =
      wire::Leap::unknown;      // unknown: neither synchronised nor LOCL or an orphan by policy
  bool synchronised = false;    // false while LOCL or orphans' time is served
  std::uint8_t stratum = 16;    // 1-15, or 16 when leap is unknown
  std::int8_t precision = -20;  // log2 seconds, measured, -30 to -5
  std::uint32_t refid = 0;
  NtpTimestamp reftime{};
  double root_delay_s = 0;
  double root_dispersion_s = kMaxDispersion_s;  // at `at`
  double dispersion_rate = 0;                   // seconds per second since `at`
  RawTime at{};
  bool own_clock = false;  // `map` is served; otherwise CLOCK_REALTIME is, and `map` means nothing
  LeapingMap map{};
  std::chrono::nanoseconds boot_lead{};  // CLOCK_BOOTTIME - CLOCK_MONOTONIC_RAW at `at`
};

// True when the machine was suspended while CLOCK_BOOTTIME gained `lead` on CLOCK_MONOTONIC_RAW and
// RAW showed `elapsed`. Slewing moves BOOTTIME too, by a tenth at most.
inline bool slept(std::chrono::nanoseconds lead, std::chrono::nanoseconds elapsed) noexcept {
  return lead > std::chrono::milliseconds(10) + elapsed / 10;
}

// root_delay / 2 + root_dispersion at `now`: the bound that the server advertises.
double error_bound_s(const ServerState& state, RawTime now) noexcept;

// True while replies made from `state` at `now` carry time (leap is not 3).
bool is_serving(const ServerState& state, RawTime now) noexcept;

}  // namespace ntp::server

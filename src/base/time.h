// The time values of the whole program. None of them can read a clock: readings arrive as
// arguments.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace ntp {

// CLOCK_MONOTONIC_RAW: a timescale that nobody steers. Deliberately without now().
struct RawClock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<RawClock>;
  static constexpr bool is_steady = true;
};
using RawTime = RawClock::time_point;

// A point of CLOCK_REALTIME: nanoseconds since 1970-01-01 UTC, as the kernel counts them.
struct RealClock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<RealClock>;
  static constexpr bool is_steady = false;
};
using RealTime = RealClock::time_point;

// Both clocks of the machine, read one right after the other.
struct Instant {
  RealTime real{};
  RawTime raw{};
};

constexpr double seconds(std::chrono::nanoseconds duration) noexcept {
  return static_cast<double>(duration.count()) * 1e-9;
}

// Seconds from the NTP prime epoch (1900-01-01) to the Unix epoch (RFC 5905 section 6).
inline constexpr std::int64_t kUnixEpochInNtpSeconds = 2'208'988'800;

// RFC 5905 NTP timestamp format: 32 bits of seconds (modulo 2^32, one era) and 32 bits of fraction.
// It has no order, since eras wrap in 2036; only a signed difference, right within +-68 years.
struct NtpTimestamp {
  std::uint64_t bits = 0;

  static constexpr NtpTimestamp from(RealTime time) noexcept {
    constexpr std::int64_t kBillion = 1'000'000'000;
    std::int64_t s = time.time_since_epoch().count() / kBillion;
    std::int64_t ns = time.time_since_epoch().count() % kBillion;
    if (ns < 0) {
      s -= 1;
      ns += kBillion;
    }
    const auto era_seconds = static_cast<std::uint32_t>(s + kUnixEpochInNtpSeconds);
    const auto fraction = (static_cast<std::uint64_t>(ns) << 32) / kBillion;
    return {(static_cast<std::uint64_t>(era_seconds) << 32) | fraction};
  }

  // The point nearest to `pivot` (within +-68 years) that has these bits.
  constexpr RealTime near(RealTime pivot) const noexcept;

  friend constexpr bool operator==(NtpTimestamp, NtpTimestamp) noexcept = default;
};

// later - earlier in units of 2^-32 s, as a signed difference (RFC 5905 section 6).
constexpr std::int64_t difference(NtpTimestamp later, NtpTimestamp earlier) noexcept {
  return static_cast<std::int64_t>(later.bits - earlier.bits);
}

constexpr double difference_s(NtpTimestamp later, NtpTimestamp earlier) noexcept {
  return static_cast<double>(difference(later, earlier)) * 0x1p-32;
}

constexpr RealTime NtpTimestamp::near(RealTime pivot) const noexcept {
  const std::int64_t distance = difference(*this, NtpTimestamp::from(pivot));
  const std::int64_t s = distance >> 32;
  const auto fraction = static_cast<std::uint64_t>(distance & 0xffff'ffff);
  const auto ns = static_cast<std::int64_t>((fraction * 1'000'000'000 + 0x8000'0000u) >> 32);
  return pivot + std::chrono::seconds(s) + std::chrono::nanoseconds(ns);
}

static_assert(difference_s(NtpTimestamp{0x0000'0000'8000'0000},
                           NtpTimestamp{0xffff'ffff'8000'0000}) == 1.0,
              "a difference must be right across the era of 2036");

// RFC 5905 NTP short format: unsigned 16.16 seconds. Error bounds only ever round up.
struct NtpShort {
  std::uint32_t bits = 0;

  static constexpr NtpShort rounded_up(double value_s) noexcept {
    if (!(value_s > 0)) return {0};  // also NaN: the caller checks what it computes
    const double scaled = value_s * 65536.0;
    if (scaled >= 4294967295.0) return {0xffff'ffff};
    const auto whole = static_cast<std::uint32_t>(scaled);
    return {whole + (static_cast<double>(whole) < scaled ? 1u : 0u)};
  }
  constexpr double seconds() const noexcept { return static_cast<double>(bits) / 65536.0; }

  friend constexpr bool operator==(NtpShort, NtpShort) noexcept = default;
};

}  // namespace ntp

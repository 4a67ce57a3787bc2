// What the load generator asks and how it judges the answer: pure functions, so that a test can
// show that every kind of wrong answer is seen.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace ntp::bench {

inline constexpr std::size_t kNtpSize = 48;

// Why a reply does not count. `none` is a good reply.
enum class Fault : std::uint8_t {
  none,
  stray,         // no request of ours is waiting for it, or it went to another client
  length,        // not that of a reply to what was asked
  mode,          // not a server's (4)
  version,       // not the version that was asked
  leap,          // the server says that it is not synchronised
  stratum,       // 0 (kiss-o'-death) or above 15
  origin,        // does not echo our transmit timestamp
  stamps,        // rec or xmt missing, or xmt before rec
  from_address,  // not from the address and port that was asked
  unique_id,     // NTS: not the request's
  seal,          // no MAC or authenticator, or a wrong one
  cookies,       // NTS: not as many as were asked for, or of another length
};
inline constexpr std::size_t kFaults = 13;
inline constexpr std::array<std::string_view, kFaults> kFaultNames{
    "none",   "stray",  "length",       "mode",      "version", "leap",   "stratum",
    "origin", "stamps", "from_address", "unique_id", "seal",    "cookies"};

inline std::uint64_t load_u64(const std::byte* at) noexcept {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | std::to_integer<std::uint64_t>(at[i]);
  return value;
}
inline void store_u64(std::byte* at, std::uint64_t value) noexcept {
  for (int i = 7; i >= 0; --i, value >>= 8) at[i] = static_cast<std::byte>(value & 0xff);
}

// A client's request (RFC 5905 mode 3) as chronyd sends it: all zero but the first octet, poll,
// precision and the transmit timestamp, which carries the nonce.
inline void write_request(std::span<std::byte, kNtpSize> out, unsigned version,
                          std::uint64_t nonce) noexcept {
  std::memset(out.data(), 0, out.size());
  out[0] = static_cast<std::byte>(version << 3 | 3);
  out[2] = std::byte{6};
  out[3] = std::byte{0x20};
  store_u64(&out[40], nonce);
}

// The nonce that a reply echoes: how its request is found. 0 when it is too short to have one.
inline std::uint64_t echoed_nonce(std::span<const std::byte> reply) noexcept {
  return reply.size() < 32 ? 0 : load_u64(&reply[24]);
}

// With any_leap a server that is not synchronised (leap 3, stratum 0 or 16) counts as well.
inline Fault judge_reply(std::span<const std::byte> reply, unsigned version, std::uint64_t nonce,
                         bool any_leap = false) noexcept {
  if (reply.size() != kNtpSize) return Fault::length;
  const auto first = std::to_integer<unsigned>(reply[0]);
  const auto stratum = std::to_integer<unsigned>(reply[1]);
  if ((first & 7) != 4) return Fault::mode;
  if ((first >> 3 & 7) != version) return Fault::version;
  if (load_u64(&reply[24]) != nonce) return Fault::origin;
  if ((stratum == 0 || stratum > 15) && !any_leap) return Fault::stratum;
  if (first >> 6 == 3 && !any_leap) return Fault::leap;
  const std::uint64_t rec = load_u64(&reply[32]);
  const std::uint64_t xmt = load_u64(&reply[40]);
  // A signed difference, so that a reply across the end of an era is not refused.
  if (rec == 0 || xmt == 0 || static_cast<std::int64_t>(xmt - rec) < 0) return Fault::stamps;
  return Fault::none;
}

}  // namespace ntp::bench

// Cookie keys of a server that shares none: a random secret and the number of the present epoch,
// kept over restarts. Pure.
//
// Epochs are counted by how long the server has run, not by the time of day: a clock that is set
// does not take anybody's cookies away. What a server that is killed has run counts at least in
// full, at most twice, or as a minute. The secret is replaced every eighth epoch and the one
// before it dropped with the next one, so whoever finds the file cannot open what is older than
// sixteen.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/random.h"
#include "nts/cookie.h"

namespace ntp::daemon {

struct OwnCookieSecret {
  std::uint32_t epoch = 0;
  std::chrono::seconds age{};  // since the epoch began
  std::uint32_t made = 0;      // the epoch in which `current` was made
  nts::Secret current{};
  nts::Secret previous{};  // empty at first

  static OwnCookieSecret make(RandomSource& random);

  // Whether a new epoch has begun.
  bool advance(std::chrono::seconds elapsed, std::chrono::seconds rotation, RandomSource& random);
};

inline constexpr std::size_t kLargestOwnSecretText = 1024;

// Text with a checksum: what is torn or garbled is refused as a whole. The text is a secret.
std::string format_own_secret(const OwnCookieSecret& secret);
std::expected<OwnCookieSecret, std::string> parse_own_secret(std::string_view text);

}  // namespace ntp::daemon

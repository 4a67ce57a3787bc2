// The three texts of the state directory: what the clock has learned, the sources' cookies, the own
// cookie secret. What is taken is fit for use and is the same when it is written and read again.
// The first octet chooses the text and whether a right checksum is put behind it.
#include <cmath>
#include <string>

#include "check.h"
#include "client/nts_text.h"
#include "clock/state_text.h"
#include "crypto/checked_text.h"
#include "daemon/own_cookie_secret.h"
#include "nts/ke_client.h"

namespace {

using namespace ntp;
using namespace std::chrono_literals;

const Instant kNow{.real = RealTime(1'800'000'000s), .raw = RawTime(1h)};

// As format_state() does it: FNV-1a of 64 bits.
std::string checksum_of_state(std::string_view body) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : body) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
  std::string digits(16, '0');
  for (auto at = digits.rbegin(); at != digits.rend(); ++at, hash >>= 4) {
    *at = "0123456789abcdef"[hash & 15];
  }
  return digits;
}

void check_state(const std::string& text) {
  const auto state = clock::parse_state(text);
  if (!state) {
    NTP_CHECK(clock::describe(state.error()).size() < 100);
    return;
  }
  const auto again = clock::parse_state(clock::format_state(*state));
  NTP_CHECK(again && again->boot == state->boot && again->time == state->time);
  NTP_CHECK(again->memory.rate == state->memory.rate);
  NTP_CHECK(again->memory.rate_sd == state->memory.rate_sd);
  NTP_CHECK(again->memory.wander == state->memory.wander);
  for (const RealTime now : {RealTime(0s), kNow.real, RealTime::max()}) {
    const auto memory = clock::recall(*state, "", now);
    NTP_CHECK(std::isfinite(memory.rate) && std::abs(memory.rate) <= 0.1);
    NTP_CHECK(std::isfinite(memory.rate_sd) && memory.rate_sd >= 0);
    NTP_CHECK(std::isfinite(memory.wander) && memory.wander >= 0);
  }
}

void check_source_cookies(const std::string& text) {
  const auto all = client::parse_nts(text, kNow);
  if (!all) return;
  for (const client::SavedNts& one : *all) {
    NTP_CHECK(one.memory.keys.is_usable() && one.server.port != 0);
    NTP_CHECK(!one.memory.cookies.empty() && one.memory.cookies.size() <= nts::kCookiesKept);
    for (const nts::Cookie& cookie : one.memory.cookies) {
      NTP_CHECK(!cookie.empty() && cookie.size() <= nts::kMaxForeignCookie);
    }
    const auto age = kNow.raw - one.memory.established;
    NTP_CHECK(age >= 0s && age <= client::kKeyLifetime);
  }
  const auto again = client::parse_nts(client::format_nts(*all, kNow), kNow);
  NTP_CHECK(again && *again == *all);
}

void check_own_secret(const std::string& text) {
  const auto secret = daemon::parse_own_secret(text);
  if (!secret) return;
  const std::string written = daemon::format_own_secret(*secret);
  NTP_CHECK(written.size() <= daemon::kLargestOwnSecretText);
  const auto again = daemon::parse_own_secret(written);
  NTP_CHECK(again && again->epoch == secret->epoch && again->age == secret->age);
  NTP_CHECK(again->made == secret->made && again->current == secret->current);
  NTP_CHECK(again->previous == secret->previous && !secret->current.empty());
  auto next = *secret;
  SeededRandom dice(1);
  next.advance(24h, 1h, dice);
  NTP_CHECK(next.age >= 0s && next.made <= next.epoch);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string text(fuzz::text_of(data, size).substr(1));
  const bool is_state = data[0] % 3 == 0;
  if ((data[0] & 0x80) != 0) {
    const std::string sum = is_state ? checksum_of_state(text) : crypto::text_checksum(text);
    text += "checksum " + sum + "\n";
  }
  if (is_state) {
    check_state(text);
  } else if (data[0] % 3 == 1) {
    check_source_cookies(text);
  } else {
    check_own_secret(text);
  }
  return 0;
}

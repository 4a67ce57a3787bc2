// nts::parse_ke_answer on any octets: what it accepts is bounded and fit to be used and logged, and
// nothing is decided before the end of the message is there that more octets could change.
#include <algorithm>

#include "check.h"
#include "nts/ke_client.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  const auto message = fuzz::octets_of(data, size);
  const auto answer = nts::parse_ke_answer(message);
  if (!answer) {
    if (answer.error().reason == nts::KeFailure::need_more) return 0;
    NTP_CHECK(!nts::words(answer.error().reason).empty());
    return 0;
  }
  NTP_CHECK(crypto::is_supported(answer->agreement.aead));
  NTP_CHECK(!answer->cookies.empty() && answer->cookies.size() <= nts::kCookiesKept);
  for (const auto& cookie : answer->cookies) {
    NTP_CHECK(cookie.size() % 4 == 0 && cookie.size() <= nts::kMaxForeignCookie);
  }
  NTP_CHECK(answer->server.size() <= nts::kMaxServerName);
  NTP_CHECK(std::ranges::all_of(answer->server, [](char c) { return c > ' ' && c < 0x7f; }));
  NTP_CHECK(answer->port.value_or(1) != 0 && answer->warnings.size() <= 8);
  for (const std::size_t cut : {size / 2, size - 1}) {
    const auto part = nts::parse_ke_answer(message.first(cut));
    NTP_CHECK(!part && part.error().reason == nts::KeFailure::need_more);
  }
  return 0;
}

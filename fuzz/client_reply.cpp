// What `query` and the self-probe make of an answer. The first eight octets are the nonce asked.
#include <cmath>
#include <cstring>

#include "check.h"
#include "client/exchange.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  if (size < 8) return 0;
  std::uint64_t nonce = 0;
  for (int i = 0; i < 8; ++i) nonce = nonce << 8 | data[i];
  const auto datagram = fuzz::octets_of(data, size).subspan(8);
  const RealTime sent{std::chrono::seconds(1'790'000'000)};
  const auto measured = client::measure(datagram, nonce, sent, sent + std::chrono::milliseconds(3));
  if (!measured) {
    NTP_CHECK(!describe(measured.error()).empty());
    return 0;
  }
  NTP_CHECK(measured->reply.org.bits == nonce);
  NTP_CHECK(measured->reply.mode == wire::Mode::server);
  NTP_CHECK(std::isfinite(measured->offset_s) && std::isfinite(measured->root_distance_s));
  NTP_CHECK(measured->delay_s >= 0 && measured->root_distance_s >= 0);
  return 0;
}

// Served time from any stamps and readings: an arrival is never after the reading of its batch, nor
// older than a queue explains, whatever happens to the host's clock. Two octets make one reading.
#include "server/timescale.h"
#include "check.h"

namespace {

// Both small and large: 2^(exponent) ns, either sign.
std::chrono::nanoseconds jump(std::uint8_t octet) {
  const auto size = std::chrono::nanoseconds(std::int64_t{1} << (octet & 0x3f) % 40);
  return (octet & 0x40) != 0 ? -size : size;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  using Origin = server::Timescale::Origin;
  Instant now{.real = RealTime(std::chrono::seconds(1'795'420'000)),
              .raw = RawTime(std::chrono::seconds(1000))};
  server::Timescale timescale;
  server::ServerState state;
  state.map.map = {.at = now.raw, .real = now.real + std::chrono::hours(1), .rate = 1e-4};
  for (std::size_t i = 0; i + 2 < size; i += 3) {
    state.own_clock = (data[i] & 0x80) != 0;
    now.raw += std::chrono::abs(jump(data[i]));
    now.real += jump(data[i + 1]);
    timescale.begin(state, now);
    const auto stamp = now.real - jump(data[i + 2]);
    const auto read = timescale.arrival({});
    const auto arrival = timescale.arrival(stamp);
    const double age_s = difference_s(read.at, arrival.at);
    NTP_CHECK(read.origin == Origin::missing);
    NTP_CHECK(age_s >= 0 && age_s <= 1.001);
    NTP_CHECK(arrival.origin == Origin::kernel || age_s == 0);
  }
  return 0;
}

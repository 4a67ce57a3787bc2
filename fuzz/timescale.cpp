// Receive stamps of the kernel against clocks that anybody may step, batch after batch: what is
// made of them is never after the reading, and a clock of our own does not follow the host's.
#include "server/timescale.h"
#include <cmath>

#include "input.h"

namespace {

using namespace ntp;

// What the kernel lets its clocks be: REALTIME up to 2232, and thirty years of uptime.
constexpr std::uint64_t kRealBelow = 8'270'000'000'000'000'000;
constexpr std::uint64_t kRawBelow = 940'000'000'000'000'000;

void check(const server::Timescale& timescale, const server::Timescale::Arrival& arrival,
           const Instant& read, std::chrono::seconds leap) {
  using Origin = server::Timescale::Origin;
  const NtpTimestamp now = timescale.is_own() ? timescale.at(read.raw) : timescale.at(read.real);
  // A request does not come after it was read, but for a leap second in between.
  const double age_s = difference_s(now, arrival.at);
  const double leap_s = timescale.is_own() ? std::abs(seconds(leap)) : 0;
  NTP_CHECK(age_s >= -leap_s);
  NTP_CHECK(age_s <= leap_s + (timescale.is_own() ? 0.11 : 1.01));
  if (arrival.origin != Origin::kernel) NTP_CHECK(arrival.at == now);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  server::Timescale timescale;
  server::ServerState state;
  state.own_clock = input.take_bool();
  state.map.map.at = RawTime(std::chrono::nanoseconds(input.take_below(kRawBelow)));
  state.map.map.real = RealTime(std::chrono::nanoseconds(input.take_below(kRealBelow / 2)));
  state.map.map.rate = input.take<std::int16_t>() * 1e-7;  // 0.3 %
  Instant read{.real = RealTime(std::chrono::nanoseconds(input.take_below(kRealBelow))),
               .raw = RawTime(std::chrono::nanoseconds(input.take_below(kRawBelow)))};
  for (int batch = 0; batch < 16 && !input.empty(); ++batch) {
    if (batch > 0) state.own_clock = input.take_bool();  // a source is found, or lost
    if (input.take_bool()) {  // a leap second, before, in or after what the queue holds
      state.map.step_at = read.raw + std::chrono::nanoseconds(input.take<std::int32_t>());
      state.map.step = std::chrono::seconds(input.take_bool() ? 1 : -1);
    }
    timescale.begin(state, read);
    check(timescale, timescale.arrival({}), read, state.map.step);
    const auto near = std::chrono::nanoseconds(input.take<std::int32_t>());
    check(timescale, timescale.arrival(read.real - near), read, state.map.step);
    const RealTime any{std::chrono::nanoseconds(input.take_below(kRealBelow))};
    check(timescale, timescale.arrival(any), read, state.map.step);
    read.raw += std::chrono::nanoseconds(input.take<std::uint32_t>());
    if (input.take_bool()) {
      read.real = RealTime(std::chrono::nanoseconds(input.take_below(kRealBelow)));
    } else {
      read.real += std::chrono::nanoseconds(input.take<std::uint32_t>());
    }
  }
  return 0;
}

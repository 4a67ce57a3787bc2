// The kernel's word about its clock, any word, reading after reading: what is served is honest.
#include <cmath>

#include "check.h"
#include "clock/host_clock.h"
#include "input.h"
#include "server/responder.h"

namespace {

using namespace ntp;

void check_state(const server::ServerState& state, const clock::HostClock& host,
                 const clock::HostPolicy& policy, RawTime now) {
  const bool synchronised = host.view().standing == clock::HostStanding::synchronised;
  NTP_CHECK(state.synchronised == synchronised);
  const bool serves = synchronised || (policy.unsynchronised == clock::Unsynchronised::local &&
                                       host.view().standing != clock::HostStanding::suspended);
  NTP_CHECK((state.leap != wire::Leap::unknown) == serves);  // G9
  if (synchronised) {
    NTP_CHECK(host.view().error_bound_s >= 0);
    NTP_CHECK(host.view().error_bound_s <= policy.max_root_distance_s);
    NTP_CHECK(state.root_dispersion_s >= policy.error_floor_s);
  }
  const auto reply = describe_clock(state, now);
  NTP_CHECK((reply.leap == wire::Leap::unknown) == (reply.stratum == 0));
  const auto later = describe_clock(state, now + std::chrono::seconds(3));
  NTP_CHECK(later.root_dispersion.bits >= reply.root_dispersion.bits);  // G10
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto flags = input.take<std::uint8_t>();
  const clock::HostPolicy policy{.unsynchronised = (flags & 1) != 0 ? clock::Unsynchronised::refuse
                                                                    : clock::Unsynchronised::local};
  clock::HostClock host(-20);
  RawTime raw{std::chrono::seconds(1000)};
  RealTime real{std::chrono::seconds(1'790'000'000)};
  std::chrono::nanoseconds lead{};  // grows while the machine sleeps
  for (int i = 0; i < 16 && !input.empty(); ++i) {
    const auto bits = input.take<std::uint8_t>();
    clock::KernelReading reading;
    reading.available = (bits & 1) == 0;
    reading.unsynchronised = (bits & 2) != 0;
    reading.insert_leap = (bits & 4) != 0;
    reading.delete_leap = (bits & 8) != 0;
    reading.maxerror_us = input.take<std::uint32_t>();
    reading.esterror_us = input.take<std::uint16_t>();
    reading.offset_s = input.take<std::int32_t>() * 1e-9;
    raw += std::chrono::microseconds(input.take<std::uint32_t>());
    real += std::chrono::microseconds(input.take<std::int32_t>());
    reading.real = real;
    reading.raw = raw;
    lead += std::chrono::milliseconds(input.take<std::uint8_t>());
    reading.boot_lead = lead;
    check_state(host.update(reading, policy), host, policy, raw);
  }
  return 0;
}

// What one request costs in our own code, without sockets: the part of it that we can change.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>

#include "server/responder.h"

namespace {

using namespace ntp;
using namespace ntp::server;

using Octets = std::array<std::byte, wire::kHeaderSize>;

constexpr RawTime kNow{std::chrono::seconds(1000)};
const NtpTimestamp kRec = NtpTimestamp::from(RealTime(std::chrono::seconds(1'790'000'000)));
const NtpTimestamp kXmt{kRec.bits + 100'000};

ServerState synchronised() {
  return {.leap = wire::Leap::none,
          .synchronised = true,
          .stratum = 3,
          .precision = -24,
          .refid = kRefidHost,
          .reftime = {kRec.bits - (5ull << 32)},
          .root_delay_s = 0.001,
          .root_dispersion_s = 0.01,
          .dispersion_rate = 500e-6,
          .at = kNow};
}

Octets request_of(wire::Mode mode) {
  wire::Header header;
  header.version = 4;
  header.mode = mode;
  header.xmt = {0x0123456789abcdef};
  Octets octets{};
  encode_header(header, octets);
  return octets;
}

Arrival arrival_of(std::span<const std::byte> payload) {
  return {.payload = payload,
          .source = {.address = IpAddress::v4(192, 0, 2, 7), .port = 40000},
          .local = {.address = IpAddress::v4(192, 0, 2, 1), .port = 123},
          .through_loopback = false};
}

// Everything from the octets of a request to the octets of its reply.
void answer_a_request(benchmark::State& state) {
  const Octets request = request_of(wire::Mode::client);
  const Arrival arrival = arrival_of(request);
  const wire::Header clock = describe_clock(synchronised(), kNow);
  NoiseSource noise(1);
  Octets out{};
  for (auto _ : state) {
    auto reply = respond(arrival, clock, {}, kRec);
    if (!reply) {
      state.SkipWithError("a good request was dropped");
      break;
    }
    seal(*reply, arrival, kXmt, noise, out);
    benchmark::DoNotOptimize(out);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(answer_a_request);

// What a flood of replies, which nobody may answer, costs.
void drop_a_reply(benchmark::State& state) {
  const Octets request = request_of(wire::Mode::server);
  const Arrival arrival = arrival_of(request);
  const wire::Header clock = describe_clock(synchronised(), kNow);
  for (auto _ : state) {
    auto reply = respond(arrival, clock, {}, kRec);
    if (reply) {
      state.SkipWithError("a reply was answered");
      break;
    }
    benchmark::DoNotOptimize(reply);
  }
}
BENCHMARK(drop_a_reply);

// Once a batch.
void describe_the_clock(benchmark::State& state) {
  const ServerState served = synchronised();
  for (auto _ : state) benchmark::DoNotOptimize(describe_clock(served, kNow));
}
BENCHMARK(describe_the_clock);

}  // namespace

BENCHMARK_MAIN();

#include "sim/machine.h"

#include <array>
#include <cmath>
#include <utility>

namespace ntp::sim {
namespace {

using std::chrono::nanoseconds;

constexpr int kPrecision = -24;
constexpr double kUptime_s = 100'000;  // what the raw clock shows at the start

nanoseconds to_ns(double value_s) noexcept { return nanoseconds(std::llround(value_s * 1e9)); }

}  // namespace

Machine::Machine(MachineModel model, RealTime start, std::uint64_t seed, std::uint64_t stream)
    : model_(std::move(model)),
      start_(start),
      oscillator_(model_.clock, seed * 1000 + stream),
      nonces_(seed * 1000 + stream),
      noise_(seed) {
  restart(0, false);
}

void Machine::advance(double at_s) {
  while (oscillator_.now_s() + 1 <= at_s) oscillator_.tick();
}

RawTime Machine::raw(double at_s) const noexcept {
  const double within_s = at_s - oscillator_.now_s();
  return RawTime(
      to_ns(kUptime_s + at_s + oscillator_.offset_s() + oscillator_.frequency() * within_s));
}

RealTime Machine::host(double at_s) const noexcept {
  const double raw_s = seconds(raw(at_s).time_since_epoch()) - kUptime_s;
  double offset_s = model_.host.offset_s + model_.host.slew * raw_s;
  for (const Step& step : model_.host.steps) {
    if (at_s >= step.at_s) offset_s += step.offset_s;
  }
  return start_ + to_ns(raw_s) + to_ns(offset_s) + kernel_.led(raw(at_s));
}

clock::Moment Machine::moment(double at_s) const noexcept {
  return {.raw = raw(at_s), .host = host(at_s), .boot_lead = to_ns(oscillator_.slept_s())};
}

double Machine::true_at(RawTime when) const noexcept {
  const double ahead_s = seconds(when - raw(oscillator_.now_s()));
  return oscillator_.now_s() + ahead_s / (1 + std::max(oscillator_.frequency(), -0.5));
}

std::optional<double> Machine::resumes_at(double at_s) const noexcept {
  for (const auto* spans : {&model_.pauses, &model_.clock.sleeps}) {
    for (const Span& span : *spans) {
      if (span.contains(at_s)) return span.end_s(at_s);
    }
  }
  return std::nullopt;
}

void Machine::restart(double at_s, bool remembers) {
  const auto memory = client_ && remembers ? client_->memory() : std::nullopt;
  client_.emplace(moment(at_s), kPrecision, memory.value_or(clock::ClockFilter::Memory{}));
}

void Machine::lead_kernel(double at_s) { kernel_.lead(moment(at_s), client_->decision(), {}); }

server::ServerState Machine::served(double at_s) const {
  const clock::Decision& decision = client_->decision();
  if (decision.state == clock::ClockState::cold) return {};
  const clock::Moment now = moment(at_s);
  const auto& state = decision.server;
  if (server::slept(now.boot_lead - state.boot_lead, now.raw - state.at)) return {};
  return state;
}

std::optional<Octets> Machine::answer(const Asked& asked, double at_s) {
  const server::ServerState state = served(at_s);
  const Instant read{.real = host(at_s), .raw = raw(at_s)};
  timescale_.begin(state, read);
  const auto stamp = model_.kernel_stamps ? std::optional(asked.stamp) : std::nullopt;
  const server::Arrival arrival{.payload = asked.datagram,
                                .source = asked.from,
                                .local = asked.to,
                                .through_loopback = false};
  auto reply = server::respond(arrival, server::describe_clock(state, read.raw), {},
                               timescale_.arrival(stamp).at);
  if (!reply) return std::nullopt;
  const NtpTimestamp xmt = timescale_.is_own() ? timescale_.at(read.raw) : timescale_.at(read.real);
  std::array<std::byte, wire::kHeaderSize> bytes{};
  server::seal(*reply, arrival, xmt, noise_, bytes);
  return Octets(bytes.begin(), bytes.end());
}

}  // namespace ntp::sim

// What one request costs in our own code, without sockets: the part of it that we can change.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <vector>

#include "base/few.h"
#include "nts/client_packet.h"
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

// False where the request was dropped, which is the end of the measurement.
bool answer(benchmark::State& state, const Arrival& arrival, const wire::Header& clock,
            NoiseSource& noise, Octets& out, RateLimiter* limiter = nullptr) {
  auto reply = respond(arrival, clock, {}, kRec, limiter);
  if (!reply) {
    state.SkipWithError("a good request was dropped");
    return false;
  }
  seal(*reply, arrival, kXmt, noise, out);
  benchmark::DoNotOptimize(out);
  benchmark::ClobberMemory();
  return true;
}

// Everything from the octets of a request to the octets of its reply.
void answer_a_request(benchmark::State& state) {
  const Octets request = request_of(wire::Mode::client);
  const Arrival arrival = arrival_of(request);
  const wire::Header clock = describe_clock(synchronised(), kNow);
  NoiseSource noise(1);
  Octets out{};
  for (auto _ : state) {
    if (!answer(state, arrival, clock, noise, out)) break;
  }
}
BENCHMARK(answer_a_request);

// The same with the limits as they are by default, of clients that are random; in batches, with the
// lines of the table fetched ahead as the worker does it.
void answer_within_limits(benchmark::State& state) {
  const Octets request = request_of(wire::Mode::client);
  Arrival arrival = arrival_of(request);
  const wire::Header clock = describe_clock(synchronised(), kNow);
  NoiseSource noise(1);
  KissGate gate;
  RateLimiter limiter({.first = 1, .second = 2}, 3, gate);
  const RateRules rules{.limit = 1000, .burst = 8000, .leak = 2, .prefix_limit = 16'000};
  std::vector<IpAddress> clients(1 << 16);
  for (auto& client : clients) {
    const std::uint64_t bits = noise.next();
    client =
        IpAddress::v4(10, static_cast<std::uint8_t>(bits), static_cast<std::uint8_t>(bits >> 8),
                      static_cast<std::uint8_t>(bits >> 16));
  }
  constexpr std::size_t kBatch = 64;
  Octets out{};
  std::size_t i = 0;
  RawTime now = kNow;
  for (auto _ : state) {
    if (i % kBatch == 0) {
      now += std::chrono::microseconds(100);
      limiter.begin(rules, now, false);
      for (std::size_t j = 0; j < kBatch; ++j) limiter.prefetch(clients[(i + j) % clients.size()]);
    }
    arrival.source.address = clients[i++ % clients.size()];
    if (!answer(state, arrival, clock, noise, out, &limiter)) break;
  }
}
BENCHMARK(answer_within_limits);

// With NTS: everything from the octets of a request to those of the reply, with so many
// placeholders (A19: twelve of them, as eight, at most three times what none cost).
class NtsClient {
 public:
  explicit NtsClient(std::size_t placeholders) : bytes_(wire::kMaxPacketSize) {
    keys_.c2s.assign(std::array<std::byte, 32>{std::byte{1}});
    keys_.s2c.assign(std::array<std::byte, 32>{std::byte{2}});
    std::array<std::byte, nts::kMaxCookieSize> cookie;
    keys.current().seal(keys_, random, cookie);
    bytes_.resize(nts::write_question({.header = {.xmt = {0x0123456789abcdef}},
                                       .unique_id = nts::UniqueId{},
                                       .cookie = cookie,
                                       .placeholders = placeholders},
                                      keys_, random, bytes_));
  }
  std::span<std::byte> request() noexcept { return bytes_; }

  crypto::RandomStream random{{}};
  nts::CookieKeys keys{{.secret = kSecret, .epoch = 20'000}};

 private:
  static constexpr std::array<std::byte, nts::kMinSecretSize> kSecret{std::byte{7}};
  nts::SessionKeys keys_{};
  std::vector<std::byte> bytes_;
};

void answer_nts(benchmark::State& state) {
  NtsClient client(static_cast<std::size_t>(state.range(0)));
  const Arrival arrival = arrival_of(client.request());
  const wire::Header clock = describe_clock(synchronised(), kNow);
  NoiseSource noise(1);
  Seal by;
  Authentication authentication{
      .secrets = {.cookies = &client.keys}, .random = client.random, .seal = by};
  std::array<std::byte, nts::kMaxReply> out;
  for (auto _ : state) {
    auto reply = respond(arrival, clock, {}, kRec, nullptr, &authentication);
    if (!reply || by.kind() != Seal::Kind::nts) {
      state.SkipWithError("a good request was not proven");
      break;
    }
    seal(*reply, arrival, kXmt, noise, by, std::span(out).first(by.size()));
    benchmark::DoNotOptimize(out);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(answer_nts)->Arg(0)->Arg(7)->Arg(8);

// The same as a worker does it, for so many requests at once: proofs together, then the seals of
// four replies together.
void answer_nts_in_batches(benchmark::State& state) {
  constexpr std::size_t kSeals = 4;
  const auto batch = static_cast<std::size_t>(state.range(0));
  struct Slot {
    Request request{};
    wire::Header reply{};
    Seal seal{};
    std::array<std::byte, nts::kMaxReply> out{};
  };
  NtsClient client(static_cast<std::size_t>(state.range(1)));
  const Arrival arrival = arrival_of(client.request());
  const wire::Header clock = describe_clock(synchronised(), kNow);
  const Secrets secrets{.cookies = &client.keys};
  NoiseSource noise(1);
  std::vector<Slot> slots(batch);
  std::vector<Claim> claims(batch);
  for (auto _ : state) {
    for (std::size_t i = 0; i < batch; ++i) {
      Slot& slot = slots[i];
      if (!examine(arrival, {}, secrets, nullptr, slot.request)) {
        return state.SkipWithError("a good request was dropped");
      }
      claims[i] = {.bytes = arrival.payload, .packet = &slot.request.packet, .seal = &slot.seal};
    }
    authenticate(claims, secrets, client.random);
    for (std::size_t at = 0; at < batch; at += kSeals) {
      Few<Seal::Application, kSeals> seals;
      for (std::size_t i = at; i < std::min(batch, at + kSeals); ++i) {
        Slot& slot = slots[i];
        if (claims[i].drop || slot.seal.kind() != Seal::Kind::nts) {
          return state.SkipWithError("a good request was not proven");
        }
        slot.reply = *conclude(slot.request, arrival, clock, {}, kRec, nullptr, slot.seal.kind());
        const auto out = std::span(slot.out).first(slot.seal.size());
        seal(slot.reply, arrival, kXmt, noise, out.first<wire::kHeaderSize>());
        seals.add(&slot.seal, out);
      }
      Seal::apply(seals.all());
    }
    for (Slot& slot : slots) slot.seal.forget();
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["of_each"] =
      benchmark::Counter(static_cast<double>(state.iterations() * state.range(0)),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(answer_nts_in_batches)->ArgsProduct({{1, 2, 4, 8, 16, 32}, {0, 7}});

// A cookie that is random octets: opened in vain, answered with NTSN.
void refuse_nts(benchmark::State& state) {
  NtsClient client(0);
  const auto cookie = client.request().subspan(wire::kHeaderSize + 36 + 8, 96);
  client.random.fill(cookie);
  const Arrival arrival = arrival_of(client.request());
  const wire::Header clock = describe_clock(synchronised(), kNow);
  Seal by;
  Authentication authentication{
      .secrets = {.cookies = &client.keys}, .random = client.random, .seal = by};
  for (auto _ : state) {
    const auto reply = respond(arrival, clock, {}, kRec, nullptr, &authentication);
    if (!reply || by.kind() != Seal::Kind::nts_nak) {
      state.SkipWithError("a forged request was not refused");
      break;
    }
    benchmark::DoNotOptimize(reply);
  }
}
BENCHMARK(refuse_nts);

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

// Whether a client may be answered, by `rules` prefixes of a list as blocklists are; the clients
// are random, so that nothing is in the cache by luck.
void look_up_access(benchmark::State& state) {
  NoiseSource noise(3);
  const bool v4 = state.range(1) == 4;
  const auto any = [&] {
    IpAddress address{.family = v4 ? IpAddress::Family::v4 : IpAddress::Family::v6};
    const std::uint64_t bits = noise.next();
    for (std::size_t i = 0; i < (v4 ? 4u : 8u); ++i) {
      address.octets[i] = static_cast<std::uint8_t>(bits >> (8 * i));
    }
    if (!v4) address.octets[0] = 0x20;  // global unicast
    return address;
  };
  std::vector<AccessRule> rules;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    const auto length = static_cast<std::uint8_t>((v4 ? 16 : 32) + noise.next() % 17);
    rules.push_back({.prefix = {masked(any(), length), length}, .allowed = i % 10 == 0});
  }
  const AccessTable table(rules, true);
  std::vector<IpAddress> clients(1 << 16);
  for (auto& client : clients) client = any();
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(table.allows(clients[++i % clients.size()]));
}
BENCHMARK(look_up_access)->ArgsProduct({{1, 1000, 100'000}, {4, 6}});

// Once a batch.
void describe_the_clock(benchmark::State& state) {
  const ServerState served = synchronised();
  for (auto _ : state) benchmark::DoNotOptimize(describe_clock(served, kNow));
}
BENCHMARK(describe_the_clock);

}  // namespace

BENCHMARK_MAIN();

// An association fed with any stream of events: time passes, questions fail or go out, answers come
// that were made of the open question and then damaged. What it asks stays minimal, what it
// believes is finite, and what does not answer its question changes nothing.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "check.h"
#include "client/association.h"

namespace {

using namespace ntp;
using client::Association;
using client::Reject;

// Takes numbers off the front of the input; zeros when it is used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }

  template <typename T>
  T take() {
    T value{};
    const std::size_t n = std::min(size_, sizeof value);
    std::memcpy(&value, data_, n);
    data_ += n;
    size_ -= n;
    return value;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

constexpr Endpoint kServer{.address = IpAddress::v4(192, 0, 2, 7), .port = 123};
constexpr RawTime kStart{std::chrono::seconds(1000)};
constexpr clock::ClockMap kBase{.at = kStart,
                                .real = RealTime(std::chrono::seconds(1'790'000'000))};

// A good answer to the open question, some octets of which the input overwrites.
std::vector<std::byte> make_answer(const Association& association, Input& input) {
  std::vector<std::byte> bytes(wire::kHeaderSize);
  wire::Header reply;
  reply.mode = wire::Mode::server;
  reply.stratum = 2;
  reply.precision = -20;
  if (const auto& question = association.state().question) {
    reply.org = {question->nonce};
    reply.rec = reply.xmt = NtpTimestamp::from(kBase(question->sent));
  }
  encode_header(reply, std::span<std::byte, wire::kHeaderSize>(bytes));
  bytes.resize(std::min<std::size_t>(input.take<std::uint8_t>() + 40u, 128));
  for (auto changes = input.take<std::uint8_t>() % 16; changes > 0; --changes) {
    const std::size_t at = input.take<std::uint8_t>() % bytes.size();
    bytes[at] = static_cast<std::byte>(input.take<std::uint8_t>());
  }
  return bytes;
}

void receive(Association& association, Input& input, RawTime now) {
  const auto bytes = make_answer(association, input);
  Endpoint from = kServer;
  if (input.take<std::uint8_t>() == 0xff) from.port = 124;
  const std::uint32_t own[] = {0xc0000209};
  const auto before = association.state();
  const auto result = association.on_datagram(
      {.datagram = bytes, .from = from, .at = now, .base = kBase, .own_refids = own});
  if (!result && result.error() < Reject::kiss_rate) {
    NTP_CHECK(association.state() == before);
    return;
  }
  NTP_CHECK(before.question && !association.state().question);
  if (!result) {
    NTP_CHECK(association.state().reach == (association.state().denied ? 0 : before.reach));
    return;
  }
  NTP_CHECK(association.state().reach == (before.reach | 1));
  NTP_CHECK(std::isfinite(result->offset_s) && std::isfinite(result->delay_s));
  NTP_CHECK(std::isfinite(result->precision_s) && result->precision_s > 0);
  NTP_CHECK(result->delay_s <= association.options().max_delay_s);
  NTP_CHECK(result->stratum >= 1 && result->stratum < 16);
  NTP_CHECK(result->leap != wire::Leap::unknown);
  NTP_CHECK(result->root_delay_s / 2 + result->root_dispersion_s < client::kMaxRootDistance_s);
}

void send(Association& association, Input& input, RawTime now, RandomSource& random) {
  const auto transmit = association.on_timer(now, random);
  const auto next = association.next_deadline();
  NTP_CHECK(!next || *next > now);
  if (!transmit) return;
  for (std::size_t i = 1; i < 40; ++i) NTP_CHECK(transmit->bytes[i] == std::byte{0});
  const auto result = input.take<std::uint8_t>();
  if (result < 32) {
    association.on_send_failed(static_cast<client::SendError>(result % 4), now, random);
  } else {
    association.on_sent(now + std::chrono::nanoseconds(input.take<std::uint16_t>()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  SeededRandom random(input.take<std::uint16_t>());
  client::AssociationOptions options{.iburst = input.take<std::uint8_t>() % 2 == 0};
  options.minpoll = input.take<std::uint8_t>() % 24 + client::kLeastPoll;
  options.maxpoll = std::min(options.minpoll + input.take<std::uint8_t>() % 8, client::kMostPoll);
  Association association(kServer, options, kStart, random);
  RawTime now = kStart;
  while (!input.empty()) {
    const auto what = input.take<std::uint8_t>();
    if (what < 96) {
      if (const auto deadline = association.next_deadline()) now = std::max(now, *deadline);
      send(association, input, now, random);
    } else if (what < 192) {
      now += std::chrono::nanoseconds(input.take<std::uint16_t>());
      receive(association, input, now);
    } else if (what < 224) {
      now += std::chrono::microseconds(input.take<std::uint32_t>());
      send(association, input, now, random);
    } else if (what < 240) {
      association.set_poll(static_cast<std::int8_t>(input.take<std::uint8_t>()));
    } else {
      association.start_burst(now);
    }
    const auto& state = association.state();
    NTP_CHECK(state.unanswered >= 0 && state.burst_left >= 0 && state.burst_left <= client::kBurst);
    NTP_CHECK(state.samples <= state.questions);
    NTP_CHECK(state.denied == !association.next_deadline().has_value());
  }
  return 0;
}

#include "client/association.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "client/exchange.h"
#include "wire/packet.h"

namespace ntp::client {
namespace {

using std::chrono::nanoseconds;

constexpr double kJitter = 0.02;         // so that a fleet started at once spreads out
constexpr double kBackOffJitter = 0.25;  //
constexpr nanoseconds kFirstWait = std::chrono::milliseconds(100);
constexpr int kUnreachable = 8;       // unanswered questions
constexpr int kUnsendable = 2;        // failures to send
constexpr int kMostUnsentPoll = 6;    // a failed send costs the network nothing
constexpr int kLeastBackOffPoll = 6;  // how slow an unreachable address is asked at least
constexpr int kMostBackOffPoll = 8;   // and at most, so that the end of an outage is noticed
constexpr int kRateCeiling = 10;      // RATE alone never makes the poll longer than this
constexpr double kMaxDrift = 500e-6;
constexpr double kCoarsest_s = 0x1p-6;         // stated precision that tolerances believe
constexpr double kReferenceSlack_s = 0x1p-10;  // reftime is rounded apart from xmt
constexpr nanoseconds kStampSlack = std::chrono::milliseconds(1);
constexpr std::uint8_t kMaxStratum = 16;
constexpr std::size_t kKeyIdSize = 4;

nanoseconds power_of_two(int log2_s) { return nanoseconds(std::llround(std::ldexp(1e9, log2_s))); }

double precision_of(const wire::Header& reply) {
  return std::ldexp(1.0, std::clamp<int>(reply.precision, -32, 0));
}

// What a reply says of its server, before anything is measured.
std::optional<Reject> judge_header(const wire::Header& reply) {
  if (reply.stratum == 0) return Reject::stratum_zero;
  if (reply.stratum >= kMaxStratum) return Reject::stratum_high;
  if (reply.leap == wire::Leap::unknown) return Reject::unsynchronised;
  if (reply.rec.bits == 0 || reply.xmt.bits == 0) return Reject::zero_stamp;
  if (reply.root_delay.seconds() / 2 + reply.root_dispersion.seconds() >= kMaxRootDistance_s) {
    return Reject::root_distance;
  }
  const bool has_reftime = reply.reftime.bits != 0;
  if (has_reftime && difference_s(reply.reftime, reply.xmt) > kReferenceSlack_s) {
    return Reject::reference_later;
  }
  const double tolerance_s = 2 * std::min(precision_of(reply), kCoarsest_s);
  if (difference_s(reply.rec, reply.xmt) > tolerance_s) return Reject::served_backwards;
  return std::nullopt;
}

bool is_loop(const wire::Header& reply, std::span<const std::uint32_t> own_refids) {
  // The refid of stratum 1 is the name of a clock, not of an address.
  return reply.stratum > 1 && std::ranges::find(own_refids, reply.refid) != own_refids.end();
}

bool is_code(std::uint32_t refid) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    const std::uint32_t c = refid >> shift & 0xff;
    if (c < '0' || c > 'Z' || (c > '9' && c < 'A')) return false;
  }
  return true;
}

std::optional<Reject> judge_path(const Path& path, nanoseconds elapsed, double held_s,
                                 const AssociationOptions& options, double remote_precision_s) {
  if (elapsed < nanoseconds(0)) return Reject::negative_delay;
  const double tolerance_s = 2 * (options.precision_s + std::min(remote_precision_s, kCoarsest_s)) +
                             kMaxDrift * std::max(0.0, held_s);
  if (path.delay_s < -tolerance_s) return Reject::negative_delay;
  if (path.delay_s > options.max_delay_s) return Reject::delay_over_limit;
  return std::nullopt;
}

}  // namespace

std::string_view describe(SendError error) noexcept {
  switch (error) {
    case SendError::unreachable:
      return "no route to it";
    case SendError::refused:
      return "its port is closed";
    case SendError::not_permitted:
      return "sending to it is not permitted";
    case SendError::other:
      break;
  }
  return "sending to it fails";
}

Association::Association(const Endpoint& address, const AssociationOptions& options, RawTime now,
                         RandomSource& random)
    : address_(address), options_(options) {
  state_.poll = options.minpoll;
  state_.anchor = now;
  state_.jitter = unit_fraction(random);
  if (options.nts) nts_.emplace();
  if (options.iburst) {
    state_.burst_left = kBurst;
    state_.burst_began = now;
  }
}

int Association::poll() const noexcept { return std::max(state_.poll, state_.poll_floor); }

bool Association::is_unreachable() const noexcept {
  const int missed = state_.unanswered - (state_.question ? 1 : 0);  // one may still be answered
  if (state_.reach == 0 && nts_ && nts_->is_hopeless()) return true;
  return state_.reach == 0 && (missed >= kUnreachable || state_.unsent >= kUnsendable);
}

// From the anchor to the next question. The jitter only ever lengthens it.
nanoseconds Association::wait() const noexcept {
  const auto part = [this](nanoseconds interval, double fraction) {
    const double whole = static_cast<double>(interval.count());
    return nanoseconds(std::llround(whole * fraction * state_.jitter));
  };
  const auto with = [&part](nanoseconds interval, double jitter) {
    return interval + part(interval, jitter);
  };
  if (state_.unsent > 0) {
    return with(power_of_two(std::min(state_.unsent, kMostUnsentPoll)), kBackOffJitter);
  }
  if (state_.questions == 0) return part(kFirstWait, 1);
  const int asked = poll();
  if (state_.soon) return with(power_of_two(std::min(kBurstPoll, asked)), kJitter);
  if (state_.burst_left > 0) {
    const int log2_s = kBurstPoll + std::max(0, state_.burst_samples - kQuick + 1) / 2;
    return with(power_of_two(std::min(log2_s, asked)), kJitter);
  }
  const int missed = state_.unanswered - (options_.iburst ? kBurst : kUnreachable);
  if (state_.reach != 0 || missed < 0) return with(power_of_two(asked), kJitter);
  const int slowest =
      std::max(asked, std::clamp(options_.maxpoll, kLeastBackOffPoll, kMostBackOffPoll));
  return with(power_of_two(std::min(asked + missed, slowest)), kBackOffJitter);
}

nanoseconds Association::time_limit() const noexcept {
  const auto longest = nanoseconds(std::llround(options_.max_delay_s * 1e9));
  return std::max<nanoseconds>(kPatience, longest);
}

std::optional<RawTime> Association::next_question() const noexcept {
  if (state_.denied || !may_ask()) return std::nullopt;
  const RawTime due = state_.anchor + wait();
  // At sub-second polls an answer may take longer than the interval.
  if (state_.question) return std::max(due, state_.question->sent + kPatience);
  return due;
}

std::optional<RawTime> Association::next_deadline() const noexcept {
  const auto due = next_question();
  if (!state_.question) return due;
  if (!due) return state_.question->sent + time_limit();
  return std::min(*due, state_.question->sent + time_limit());
}

// Never without a proof where one is demanded: there is no way back to plain questions.
bool Association::may_ask() const noexcept {
  if (options_.nts) return nts_->has_keys();
  return options_.key == 0 || key_.has_value();
}

// Empty where NTS has no cookie left.
std::vector<std::byte> Association::write_request(std::uint64_t nonce, RawTime now,
                                                  RandomSource& random) {
  const wire::Header header = make_request(nonce, options_.version);
  if (nts_) return nts_->write_question(header, now, random);
  const std::size_t mac = options_.key != 0 ? kKeyIdSize + key_->size() : 0;
  std::vector<std::byte> bytes(wire::kHeaderSize + mac);
  encode_header(header, std::span(bytes).first<wire::kHeaderSize>());
  if (mac == 0) return bytes;
  const auto digest = key_->compute(std::span(bytes).first(wire::kHeaderSize));
  const auto tail = std::span(bytes).subspan(wire::kHeaderSize);
  ByteWriter(tail).write(options_.key);
  std::ranges::copy(std::span(digest).first(key_->size()), tail.subspan(kKeyIdSize).begin());
  return bytes;
}

std::uint64_t Association::fresh_nonce(RandomSource& random) const {
  // Zero is what careless servers and forgers send as origin; the last one is what they repeat.
  for (int i = 0; i < 4; ++i) {
    const std::uint64_t nonce = random.next();
    const bool repeats = state_.question && state_.question->nonce == nonce;
    if (nonce != 0 && nonce != state_.answered_nonce && !repeats) return nonce;
  }
  const bool is_random = false;
  NTP_CHECK(is_random);
  return 0;
}

std::optional<Transmit> Association::on_timer(RawTime now, RandomSource& random) {
  const auto due = next_question();
  if (!due || now < *due) {
    if (state_.question && now - state_.question->sent >= time_limit()) {
      state_.question.reset();
      state_.refused.reset();
    }
    return std::nullopt;
  }
  if (state_.question) state_.refused.reset();
  const std::uint64_t nonce = fresh_nonce(random);
  state_.question = Question{.nonce = nonce, .sent = now};
  state_.anchor = now;
  state_.jitter = unit_fraction(random);
  state_.reach = static_cast<std::uint8_t>(state_.reach << 1);
  state_.unanswered += 1;
  if (state_.burst_left > 0) state_.burst_left -= 1;
  state_.was_soon = std::exchange(state_.soon, false);
  Transmit transmit{.to = address_, .bytes = write_request(nonce, now, random)};
  if (transmit.bytes.empty()) {  // as good as one that is not answered, until there are keys
    state_.question.reset();
    return std::nullopt;
  }
  state_.questions += 1;
  return transmit;
}

void Association::on_sent(RawTime t1) noexcept {
  state_.unsent = 0;
  if (!state_.question) return;
  const auto later = t1 - state_.anchor;
  if (later < -kStampSlack || later > kPatience) return;
  state_.question->sent = t1;
}

void Association::on_send_failed(SendError error, RawTime now, RandomSource& random) {
  // Who forges an ICMP message must not be able to stop anything (RELIABILITY A51).
  if (error == SendError::refused || !state_.question) return;
  state_.question.reset();
  state_.anchor = now;
  state_.jitter = unit_fraction(random);
  // It never left: the patience with the server is not used up, and the first samples are still to
  // come by a burst.
  state_.unanswered -= 1;
  if (options_.iburst && !state_.sample && state_.burst_left < kBurst) state_.burst_left += 1;
  state_.unsent = std::min(state_.unsent + 1, kMostUnsentPoll);
}

std::expected<clock::Sample, Reject> Association::on_datagram(const Arrival& arrival) {
  auto result = take(arrival);
  if (!result) {
    rejects_.add(result.error());
    if (answers(result.error())) state_.refused = result.error();
  }
  return result;
}

// Whether it is an answer to the open question at all. What fails here changes nothing.
std::optional<Reject> Association::match(const Arrival& arrival,
                                         const wire::Header& reply) const noexcept {
  if (reply.mode != wire::Mode::server) return Reject::not_a_reply;
  if (reply.version > options_.version || reply.version < 3) return Reject::wrong_version;
  if (reply.org.bits == 0) return Reject::zero_origin;
  if (reply.org.bits == state_.answered_nonce) return Reject::duplicate;
  if (!state_.question) return Reject::unexpected;
  if (reply.org.bits != state_.question->nonce) return Reject::bogus;
  if (arrival.at - state_.question->sent >= time_limit()) return Reject::unexpected;
  return std::nullopt;
}

// Whether it is from whom it seems to be. What fails here leaves the question open: the true answer
// may still come.
std::optional<Reject> Association::prove(const Arrival& arrival, std::span<const std::byte> mac,
                                         bool has_nts_field) {
  if (nts_) {
    const auto opened = nts_->open(arrival.datagram);
    return opened ? std::nullopt : std::optional(opened.error());
  }
  if (mac.size() == kKeyIdSize) return Reject::crypto_nak;
  if (options_.key == 0) {
    return mac.empty() && !has_nts_field ? std::nullopt : std::optional(Reject::unasked_mac);
  }
  if (mac.empty() || !key_) return Reject::unauthenticated;
  if (ByteReader(mac).read<std::uint32_t>() != options_.key) return Reject::wrong_key;
  const auto covered = arrival.datagram.first(arrival.datagram.size() - mac.size());
  if (!key_->verify(covered, mac.subspan(kKeyIdSize))) return Reject::unauthenticated;
  return std::nullopt;
}

std::expected<clock::Sample, Reject> Association::take(const Arrival& arrival) {
  const bool scoped = address_.scope != 0 && arrival.from.scope != address_.scope;
  if (arrival.from.address != address_.address || arrival.from.port != address_.port || scoped) {
    return std::unexpected(Reject::wrong_address);
  }
  const auto packet = wire::parse_packet(arrival.datagram);
  if (!packet) return std::unexpected(Reject::malformed);
  const wire::Header& reply = packet->header;
  if (const auto reject = match(arrival, reply)) return std::unexpected(*reject);
  if (const auto reject = prove(arrival, packet->mac, packet->has_nts_field)) {
    return std::unexpected(*reject);
  }

  const Question question = *state_.question;
  state_.question.reset();  // one answer only, good or bad
  state_.answered_nonce = question.nonce;
  if (reply.stratum == 0 && is_code(reply.refid)) {
    return std::unexpected(take_kiss(reply.refid));
  }
  if (const auto reject = judge_header(reply)) return std::unexpected(*reject);
  if (is_loop(reply, arrival.own_refids)) return std::unexpected(Reject::loop);
  const Path path = path_of(reply, arrival.base(question.sent), arrival.base(arrival.at));
  const double remote_s = precision_of(reply);
  const auto elapsed = arrival.at - question.sent;
  const double held_s = difference_s(reply.xmt, reply.rec);
  if (const auto reject = judge_path(path, elapsed, held_s, options_, remote_s)) {
    return std::unexpected(*reject);
  }
  const clock::Sample sample{
      .at = question.sent + elapsed / 2,
      .offset_s = path.offset_s,
      .delay_s = path.delay_s,
      .precision_s = std::hypot(options_.precision_s, remote_s) / std::sqrt(12.0),
      .root_delay_s = reply.root_delay.seconds(),
      .root_dispersion_s = reply.root_dispersion.seconds(),
      .leap = reply.leap,
      .stratum = reply.stratum,
      .refid = reply.refid};
  note_success(sample, arrival.at);
  return sample;
}

// Believed because it answers an open question (RFC 5905 section 7.4; CVE-2015-7704).
Reject Association::take_kiss(std::uint32_t code) noexcept {
  state_.kiss = code;
  if (code == wire::refid_of("RATE")) {
    const int ceiling = std::max({poll(), options_.maxpoll, kRateCeiling});
    state_.poll_floor = std::min(poll() + 1, std::min(ceiling, kMostPoll));
    state_.burst_left = 0;
    return Reject::kiss_rate;
  }
  if (code == wire::refid_of("DENY") || code == wire::refid_of("RSTR")) {
    state_.denied = true;
    state_.reach = 0;  // nobody asks any more: what it said last must not count for ever
    return code == wire::refid_of("DENY") ? Reject::kiss_deny : Reject::kiss_restrict;
  }
  return Reject::kiss_unknown;
}

void Association::note_success(const clock::Sample& sample, RawTime now) noexcept {
  const bool was_lost = state_.reach == 0;
  const bool first = !state_.sample.has_value();
  const bool may_burst = first || !state_.burst_began || now - *state_.burst_began >= kBurstHoldOff;
  // An address that has come back is soon worth trusting again; one that RATEd us is left in peace.
  const bool welcome = state_.poll_floor == kLeastPoll && (first || state_.burst_left == 0);
  if (options_.iburst && was_lost && may_burst && welcome) {
    start_burst(now);
    state_.burst_left -= 1;
  }
  state_.burst_samples = std::min(state_.burst_samples + 1, kBurst);
  state_.reach |= 1;
  state_.unanswered = 0;
  state_.unsent = 0;
  state_.refused.reset();
  state_.samples += 1;
  state_.sample = sample;
}

void Association::ask_soon() noexcept {
  // Not twice in a row: who is in doubt all the time is just not to be believed.
  state_.soon = state_.poll_floor == kLeastPoll && !state_.was_soon;
}

void Association::set_poll(int log2_s) noexcept {
  state_.poll = std::clamp(log2_s, options_.minpoll, options_.maxpoll);
}

void Association::on_keys(const Endpoint& address, RawTime now) noexcept {
  address_ = address;
  state_.anchor = now;
  if (state_.reach == 0 && options_.iburst) start_burst(now);
}

void Association::set_key(const std::optional<crypto::MacKey>& key) noexcept { key_ = key; }

void Association::set_options(const AssociationOptions& options) noexcept {
  options_ = options;
  set_poll(state_.poll);
}

void Association::start_burst(RawTime now) noexcept {
  if (state_.denied || state_.poll_floor != kLeastPoll) return;
  state_.burst_left = kBurst;
  state_.burst_samples = 0;
  state_.burst_began = now;
  state_.unsent = 0;
}

}  // namespace ntp::client

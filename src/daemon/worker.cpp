#include "daemon/worker.h"

#include <poll.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "base/few.h"
#include "crypto/secret.h"
#include "os/clocks.h"
#include "os/machine.h"
#include "os/seccomp.h"
#include "os/udp_socket.h"
#include "server/responder.h"

namespace ntp::daemon {
namespace {

constexpr std::chrono::milliseconds kLongestDrain{200};
constexpr int kTurn = 1;  // batches in one turn of the loop
constexpr int kPauseAfterFailure_ms = 10;
constexpr int kPauseBetweenWakes_ms = 1;

crypto::RandomStream::Seed seed_of(RandomSource& secrets) {
  crypto::RandomStream::Seed seed{};
  ByteWriter out(seed);
  while (out.size() < seed.size()) out.write(secrets.next());
  return seed;
}

}  // namespace

Worker::Worker(os::Fd socket, Endpoint local, Served& served, RandomSource& secrets,
               os::Calls calls)
    : socket_(std::move(socket)),
      local_(local),
      served_(served),
      noise_(secrets.next()),
      batch_(local.address.is_v4(), local.port, calls),
      rate_({.first = secrets.next(), .second = secrets.next()}, secrets.next(), served.kisses),
      random_(seed_of(secrets)) {
  counters_.heartbeat_ns = os::raw_now().time_since_epoch().count();
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::stop() {
  if (!thread_.joinable()) {
    if (!ended_) end();
    return;
  }
  stopping_ = true;
  // A signal and not shutdown(2): systemd may hold the same socket, for whoever comes after us.
  while (!ended_) {
    os::wake_thread(thread_.native_handle());
    ::poll(nullptr, 0, kPauseBetweenWakes_ms);
  }
  thread_.join();
}

void Worker::run() noexcept {
  os::block_signals();
  os::confine_thread(os::ThreadRole::worker);
  while (!stopping_.load(std::memory_order_acquire)) {  // with deadline_, leave_
    if (serve(true) == 0 && batch_.failure() != 0) ::poll(nullptr, 0, kPauseAfterFailure_ms);
  }
  end();
}

void Worker::end() noexcept {
  if (leave_ == Leave::yes) os::leave_choice_of_receivers(socket_.get());
  drain();
  ended_ = true;
}

// What the queue held when the end came. Under a flood that nobody takes over, not for ever.
void Worker::drain() noexcept {
  const RawTime deadline = std::min(deadline_, os::raw_now() + kLongestDrain);
  while (serve(false) > 0 && os::raw_now() < deadline) {
  }
}

void Worker::serve_ready() noexcept {
  const int most = batch_.is_single() ? kTurn * static_cast<int>(os::UdpBatch::kSlots) : kTurn;
  for (int i = 0; i < most && serve(false) > 0; ++i) {
  }
}

void Worker::look_at_the_time() noexcept { begin_accounts(os::raw_now()); }

void Worker::set_access(std::shared_ptr<const server::AccessTable> table) {
  access_tables_.push_back(std::move(table));  // first: where that fails, nobody is to look at it
  access_.store(access_tables_.back().get(), std::memory_order_release);
  batch_of_old_access_ = batch_under_way();
  forget_old_access();
}

void Worker::forget_old_access() noexcept {
  if (access_tables_.size() < 2 || !is_over(batch_of_old_access_)) return;
  access_tables_.erase(access_tables_.begin(), access_tables_.end() - 1);
}

std::size_t Worker::serve(bool wait) noexcept {
  const std::size_t count = batch_.receive(socket_.get(), wait);
  if (count == 0) {
    const RawTime now = os::raw_now();
    counters_.heartbeat_ns.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    begin_accounts(now);
    if (batch_.failure() != 0) counters_.receive_errors.add(1);
    return 0;
  }
  begin_batch();
  answer(count);
  end_batch();
  return count;
}

// Also where nobody asks any more, so that what was seen of a flood does not stay for ever.
void Worker::begin_accounts(RawTime now) noexcept {
  const std::uint32_t lost = batch_.lost() - lost_told_;
  lost_told_ = batch_.lost();
  counters_.lost.add(lost);
  rate_.begin(policy_.rate, now, lost > 0);
  if (rate_.view() == rate_told_) return;
  rate_told_ = rate_.view();
  counters_.rate.publish(rate_told_);
}

void Worker::set_keys(std::shared_ptr<const server::SymmetricKeys> symmetric,
                      std::shared_ptr<const nts::CookieKeys> cookies) {
  const server::Secrets secrets{symmetric.get(), cookies.get()};
  kept_keys_.push_back(std::make_unique<const Keys>(
      Keys{.symmetric = std::move(symmetric), .cookies = std::move(cookies), .secrets = secrets}));
  keys_.store(kept_keys_.back().get(), std::memory_order_release);
  batch_of_old_keys_ = batch_under_way();
  forget_old_keys();
}

// What was in force before can only be in the hands of the batch that was under way at the change.
void Worker::forget_old_keys() noexcept {
  if (kept_keys_.size() < 2 || !is_over(batch_of_old_keys_)) return;
  kept_keys_.erase(kept_keys_.begin(), kept_keys_.end() - 1);
}

void Worker::begin_batch() noexcept {
  count_batch();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const Keys* keys = keys_.load(std::memory_order_acquire);
  secrets_ = keys != nullptr ? keys->secrets : server::Secrets{};
}

// Decides about every datagram of the batch, and sends the replies whenever there are as many as
// one reading of the clock is for. State and policy are read after the receive, so that a reply
// never tells of a clock that is older than the request.
void Worker::answer(std::size_t count) noexcept {
  const Instant read = os::now();
  const RawTime now = read.raw;
  counters_.heartbeat_ns.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  counters_.received.add(count);
  counters_.batches.add(1);
  policy_ = served_.policy.read();
  policy_.access = access_.load(std::memory_order_acquire);
  begin_accounts(now);
  if (policy_.log_requests) notes_.push({.received = static_cast<std::uint32_t>(count)});
  auto state = served_.state.read();
  // The state is from before a suspend: nobody knows the time until the clock has been looked at.
  if (server::slept(os::boot_lead() - state.boot_lead, now - state.at)) state = {};
  timescale_.begin(state, read);
  const wire::Header clock = server::describe_clock(state, now);
  if (count > 1) {
    for (std::size_t slot = 0; slot < count; ++slot)
      rate_.prefetch(batch_.arrival(slot).source.address);
  }
  const auto settle = [&](std::size_t pending) {
    const auto all = std::span(pending_).first(pending);
    prove(all, clock);
    dispatch(all);
  };
  std::size_t pending = 0;
  for (std::size_t slot = 0; slot < count; ++slot) {
    if (!admit(slot, clock, pending_[pending])) continue;
    if (++pending < kRepliesPerStamp) continue;
    settle(pending);
    pending = 0;
  }
  if (pending > 0) settle(pending);
  if (secrets_.cookies != nullptr || secrets_.symmetric != nullptr) crypto::wipe_stack();
  counters_.leaked.set(rate_.leaked());
  policy_.access = nullptr;
}

// False where there is no reply; whether a request with a proof gets one is not known yet. Those
// without are decided here, so that a flood of them does not thin out what is sent at once.
bool Worker::admit(std::size_t slot, const wire::Header& clock, Pending& to) noexcept {
  const auto arrived = arrival_time(slot);
  const auto let_in = server::examine(batch_.arrival(slot), policy_, secrets_, &rate_, to.request);
  if (!let_in) {
    counters_.drops[static_cast<std::size_t>(let_in.error())].add(1);
    return false;
  }
  to.slot = slot;
  to.rec = arrived.at;
  to.timed = arrived.origin == server::Timescale::Origin::kernel;
  to.state = Pending::State::to_be_proven;
  if (!to.request.has_proof()) conclude(to, clock);
  return to.state != Pending::State::dropped;
}

void Worker::prove(std::span<Pending> pending, const wire::Header& clock) noexcept {
  NTP_UNINITIALIZED Few<server::Claim, kRepliesPerStamp> claims;
  NTP_UNINITIALIZED Few<Pending*, kRepliesPerStamp> of;
  for (Pending& one : pending) {
    if (one.state != Pending::State::to_be_proven) continue;
    of.add(&one);
    const server::Arrival& arrival = batch_.arrival(one.slot);
    claims.add(arrival.payload, &one.request.packet, arrival.source.address, &one.seal);
  }
  if (claims.size() == 0) return;
  server::authenticate(claims.all(), secrets_, random_);
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (!claims[i].drop) {
      conclude(*of[i], clock);
    } else {
      drop(*of[i], *claims[i].drop);
    }
  }
}

void Worker::drop(Pending& one, server::Drop reason) noexcept {
  counters_.drops[static_cast<std::size_t>(reason)].add(1);
  one.seal.forget();
  one.state = Pending::State::dropped;
}

void Worker::conclude(Pending& one, const wire::Header& clock) noexcept {
  const auto reply = server::conclude(one.request, batch_.arrival(one.slot), clock, policy_,
                                      one.rec, &rate_, one.seal.kind());
  if (!reply) return drop(one, reply.error());
  if (reply->org.bits == policy_.probe_xmt && policy_.probe_xmt != 0) {
    counters_.probe_seen.store(policy_.probe_xmt, std::memory_order_release);
  }
  counters_.versions[reply->version].add(1);
  count_seal(one.seal);
  one.reply = *reply;
  one.state = Pending::State::reply;
}

server::Timescale::Arrival Worker::arrival_time(std::size_t slot) noexcept {
  const auto arrival = timescale_.arrival(batch_.stamp(slot));
  if (arrival.origin == server::Timescale::Origin::missing) counters_.stamps_missing.add(1);
  if (arrival.origin == server::Timescale::Origin::discarded) counters_.stamps_discarded.add(1);
  return arrival;
}

void Worker::dispatch(std::span<Pending> pending) noexcept {
  const auto read = [this] {
    return timescale_.is_own() ? timescale_.at(os::raw_now()) : timescale_.at(os::real_now());
  };
  const auto is_sealed = [](const Pending& one) {
    return one.seal.kind() != server::Seal::Kind::none;
  };
  NtpTimestamp xmt = read();
  while (!pending.empty()) {
    const auto some = pending.first(std::min(pending.size(), kSealsPerStamp));
    if (std::ranges::any_of(some, is_sealed)) xmt = read();
    write(some, xmt);
    pending = pending.subspan(some.size());
  }
  const std::size_t queued = batch_.queued();
  if (queued == 0) return;
  const std::size_t accepted = batch_.send(socket_.get());
  counters_.replies.add(accepted);
  counters_.send_errors.add(queued - accepted);
}

// Headers, then what seals them.
void Worker::write(std::span<Pending> some, NtpTimestamp xmt) noexcept {
  NTP_UNINITIALIZED Few<server::Seal::Application, kSealsPerStamp> seals;
  for (Pending& one : some) {
    if (one.state != Pending::State::reply) continue;
    const bool is_kiss = server::is_kiss(one.reply);
    if (is_kiss) counters_.kisses.add(1);
    if (one.timed && !is_kiss) record_latency(difference_s(xmt, one.reply.rec));
    const server::Arrival arrival = batch_.arrival(one.slot);
    const auto out = batch_.reply(one.slot, one.seal.size());
    NTP_CHECK(arrival.payload.size() >= out.size());  // G1
    server::seal(one.reply, arrival, xmt, noise_, out.first<wire::kHeaderSize>());
    if (one.seal.kind() != server::Seal::Kind::none) seals.add(&one.seal, out);
    batch_.queue(one.slot);
    if (policy_.log_requests) notes_.push({.sent_to = arrival.source});
  }
  if (seals.size() == 0) return;
  server::Seal::apply(seals.all());
  for (Pending& one : some) one.seal.forget();
}

void Worker::count_seal(const server::Seal& seal) noexcept {
  using enum server::Seal::Kind;
  if (seal.kind() == none) return;
  auto& counter = seal.kind() == mac   ? counters_.mac_accepted
                  : seal.kind() == nts ? counters_.nts_accepted
                                       : counters_.nts_naks;
  counter.add(1);
}

void Worker::record_latency(double latency_s) noexcept {
  if (latency_s < 0) return;  // the host's clock was stepped back in between
  const auto ns = static_cast<std::uint64_t>(latency_s * 1e9);
  const auto edge = std::ranges::lower_bound(server::kLatencyEdges_ns, ns);
  counters_.latency[static_cast<std::size_t>(edge - server::kLatencyEdges_ns.begin())].add(1);
  counters_.latency_sum_ns.add(ns);
}

}  // namespace ntp::daemon

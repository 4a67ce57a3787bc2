// One socket, one thread: receives, asks the responder, sends.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/random.h"
#include "base/ring.h"
#include "crypto/random_stream.h"
#include "daemon/served.h"
#include "os/fd.h"
#include "os/udp_batch.h"
#include "server/authentication.h"
#include "server/counters.h"
#include "server/responder.h"
#include "server/timescale.h"

namespace ntp::daemon {

// What a worker tells the log when Policy::log_requests is set.
struct Note {
  std::uint32_t received = 0;  // datagrams of a batch; 0: this is a reply
  Endpoint sent_to{};
};
using Notes = SpscRing<Note, 256>;

// Owns its socket, batch, counters and ring. Between start() and stop() only its own thread
// touches the socket; counters() and notes() may be read by the service at any time.
// Without start(), serve_ready() may be called by the one thread of the program instead.
class Worker {
 public:
  // `secrets` are the seeds of all that nobody may foretell.
  Worker(os::Fd socket, Endpoint local, Served& served, RandomSource& secrets, os::Calls calls);
  ~Worker() { stop(); }

  void start();
  // Answers what the socket still holds until the deadline, then ends the thread. New datagrams are
  // steered away before, or the socket leaves the kernel's choice of receivers, which the worker
  // sees to itself: nobody else touches its socket. Where several are to stop, tell all of them
  // first.
  enum class Leave : bool { no, yes };
  void tell_to_stop(RawTime deadline, Leave leave) noexcept {
    deadline_ = deadline;
    leave_ = leave;
    stopping_ = true;
  }
  void stop();
  // After stop(): what has arrived since, just before the socket is closed.
  void drain() noexcept;

  // Answers what is there now, a few batches at most, without waiting: the loop has other guests.
  void serve_ready() noexcept;
  // Likewise, now and then: without requests nothing else tells the limiter that time goes on.
  void look_at_the_time() noexcept;

  // Which table judges the clients from now on; null: none does. Service thread only. The tables
  // before are kept until the worker is seen not to read them any more.
  void set_access(std::shared_ptr<const server::AccessTable> table);
  void forget_old_access() noexcept;

  int fd() const noexcept { return socket_.get(); }
  const Endpoint& local() const noexcept { return local_; }
  const server::Counters& counters() const noexcept { return counters_; }
  Notes& notes() noexcept { return notes_; }
  // The keys in force from the next batch on; either may be null. Service thread only. What was in
  // force before is given back, and wiped, once no batch can be using it.
  void set_keys(std::shared_ptr<const server::SymmetricKeys> symmetric,
                std::shared_ptr<const nts::CookieKeys> cookies);
  void forget_old_keys() noexcept;

  // How many were lost since the last call because nobody took them in time. Service thread only.
  std::uint64_t take_dropped_notes() noexcept {
    const std::uint64_t told = std::exchange(notes_told_, notes_.dropped());
    return notes_told_ - told;
  }

 private:
  // Replies that share one reading of the clock: the last of them leaves some microseconds after
  // it, while more calls of sendmmsg would cost every reply.
  static constexpr std::size_t kRepliesPerStamp = 16;

  // Of these, so many are sealed side by side after one more reading: it stands still for the time
  // of four seals, two microseconds with the slowest MACs and half of one with NTS. Taking the
  // clock for each alone would cost what it saves: they would be computed one after the other.
  static constexpr std::size_t kSealsPerStamp = 4;

  // A request that waits for its proof, or a reply that waits for its transmit stamp.
  struct Pending {
    enum class State : std::uint8_t { to_be_proven, reply, dropped };
    State state = State::dropped;
    bool timed = false;  // rec is the kernel's stamp
    std::size_t slot = 0;
    NtpTimestamp rec{};
    server::Request request{};
    wire::Header reply{};
    server::Seal seal{};
  };
  // Keys that a batch may be using. The pointers keep alive what `secrets` borrows.
  struct Keys {
    std::shared_ptr<const server::SymmetricKeys> symmetric{};
    std::shared_ptr<const nts::CookieKeys> cookies{};
    server::Secrets secrets{};
  };

  void run() noexcept;
  void end() noexcept;
  std::size_t serve(bool wait) noexcept;
  void answer(std::size_t count) noexcept;
  bool admit(std::size_t slot, const wire::Header& clock, Pending& to) noexcept;
  void prove(std::span<Pending> pending, const wire::Header& clock) noexcept;
  void conclude(Pending& one, const wire::Header& clock) noexcept;
  void drop(Pending& one, server::Drop reason) noexcept;
  void begin_accounts(RawTime now) noexcept;
  void dispatch(std::span<Pending> pending) noexcept;
  void write(std::span<Pending> some, NtpTimestamp xmt) noexcept;
  void record_latency(double latency_s) noexcept;
  void begin_batch() noexcept;
  void end_batch() noexcept { count_batch(); }
  // The number of the batch that is under way and may hold what was in force until now; 0: none is.
  // What has just been put in force is in the hands of every later one.
  std::uint64_t batch_under_way() const noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // begin_batch() has the other
    const auto number = batches_begun_and_ended_.load(std::memory_order_acquire);
    return number % 2 == 1 ? number : 0;
  }
  bool is_over(std::uint64_t batch) const noexcept {
    return batch == 0 || batches_begun_and_ended_.load(std::memory_order_acquire) != batch;
  }
  void count_batch() noexcept {  // the only one that writes it: no read-modify-write is needed
    const auto number = batches_begun_and_ended_.load(std::memory_order_relaxed);
    batches_begun_and_ended_.store(number + 1, std::memory_order_release);
  }
  void count_seal(const server::Seal& seal) noexcept;
  server::Timescale::Arrival arrival_time(std::size_t slot) noexcept;

  os::Fd socket_;
  Endpoint local_;
  const Served& served_;
  NoiseSource noise_;
  os::UdpBatch batch_;
  server::Timescale timescale_;
  server::Policy policy_{};
  server::RateLimiter rate_;
  server::RateView rate_told_{};
  std::uint32_t lost_told_ = 0;
  std::array<Pending, kRepliesPerStamp> pending_{};
  crypto::RandomStream random_;
  server::Secrets secrets_{};  // of this batch
  std::atomic<const Keys*> keys_{nullptr};
  std::vector<std::unique_ptr<const Keys>> kept_keys_;  // the last one is in force
  // Odd while a batch is using what keys_ and access_ pointed at.
  std::atomic<std::uint64_t> batches_begun_and_ended_{0};
  std::uint64_t batch_of_old_keys_ = 0;
  std::uint64_t batch_of_old_access_ = 0;
  server::Counters counters_;
  Notes notes_;
  std::uint64_t notes_told_ = 0;
  std::vector<std::shared_ptr<const server::AccessTable>> access_tables_;  // the last is in force
  std::atomic<const server::AccessTable*> access_{nullptr};
  RawTime deadline_ = RawTime::max();  // of the drain; set before stopping_
  Leave leave_ = Leave::no;            // likewise
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace ntp::daemon

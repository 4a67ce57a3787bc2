#include "load.h"

#include <time.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace ntp::bench {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kLate = 100'000;
constexpr std::uint32_t kSlotBits = 16;
constexpr std::uint64_t kSlotMask = (std::uint64_t{1} << kSlotBits) - 1;

std::int64_t now_ns() noexcept {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * kSecond + t.tv_nsec;
}

std::int64_t in_ns(double seconds) noexcept {
  return static_cast<std::int64_t>(seconds * static_cast<double>(kSecond));
}

// Visits every client once before any twice, far apart from one to the next, as strangers would.
class ClientWalk {
 public:
  explicit ClientWalk(std::uint32_t clients) : clients_(std::max<std::uint32_t>(clients, 1)) {
    step_ = static_cast<std::uint32_t>(clients_ * 0.618) | 1;
    while (std::gcd(step_, clients_) != 1) ++step_;
  }
  std::uint32_t next() noexcept {
    at_ = static_cast<std::uint32_t>((std::uint64_t{at_} + step_) % clients_);
    return at_;
  }

 private:
  std::uint32_t clients_;
  std::uint32_t step_ = 1;
  std::uint32_t at_ = 0;
};

class Load {
 public:
  Load(Port& port, Dialogue& dialogue, const LoadOptions& options)
      : port_(port),
        dialogue_(dialogue),
        options_(options),
        walk_(options.clients),
        lost_after_(in_ns(options.lost_after_s)) {
    slots_.resize(slots_of(options));
    free_.reserve(slots_.size());
    for (std::size_t i = slots_.size(); i-- > 0;) free_.push_back(static_cast<std::uint32_t>(i));
  }

  LoadResult run() {
    const std::int64_t start = now_ns();
    measure_from_ = start + in_ns(options_.warm_up_s);
    measure_to_ = measure_from_ + in_ns(options_.duration_s);
    next_check_ = start + lost_after_;
    std::int64_t now = start;
    while (now < measure_to_) {
      if (options_.rate > 0) {
        send_what_is_due(start, now);
      } else {
        send_all_free(now);
      }
      if (!collect() && options_.patient) rest();
      now = now_ns();
      if (now >= next_check_) forget_lost(now);
    }
    drain();
    result_.duration_s =
        static_cast<double>(measure_to_ - measure_from_) / static_cast<double>(kSecond);
    return result_;
  }

 private:
  struct Slot {
    std::uint64_t nonce = 0;
    std::int64_t sent_ns = 0;
    std::uint32_t client = 0;
    bool waiting = false;
  };

  bool measured(std::int64_t at) const noexcept { return at >= measure_from_ && at < measure_to_; }

  void send_all_free(std::int64_t now) {
    while (!free_.empty()) {
      const std::size_t count = std::min(free_.size(), kMaxBatch);
      if (send(count, now) < count) return;
      if (free_.size() >= kMaxBatch) now = now_ns();
    }
  }

  void send_what_is_due(std::int64_t start, std::int64_t now) {
    const double elapsed_s = static_cast<double>(now - start) / static_cast<double>(kSecond);
    const auto due = static_cast<std::uint64_t>(elapsed_s * options_.rate);
    while (offered_ < due && !free_.empty()) {
      const std::size_t count = std::min<std::size_t>({due - offered_, kMaxBatch, free_.size()});
      const auto due_at = start + in_ns(static_cast<double>(offered_ + 1) / options_.rate);
      if (measured(now) && now - due_at > kLate) result_.late += count;
      offered_ += count;
      if (send(count, now) < count) return;
      now = now_ns();
    }
  }

  std::size_t send(std::size_t count, std::int64_t now) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint32_t index = free_[free_.size() - 1 - i];
      // An odd multiplier makes a nonce that no earlier one resembles; its low bits find the slot.
      const std::uint64_t nonce = (++sequence_ * 0x9e3779b97f4a7c15 & ~kSlotMask) | index;
      const std::uint32_t client = walk_.next();
      slots_[index] = {.nonce = nonce, .sent_ns = now, .client = client, .waiting = true};
      requests_[i] = {.client = client, .payload = dialogue_.ask(index, nonce)};
    }
    const std::size_t sent = port_.send(std::span(requests_).first(count));
    for (std::size_t i = sent; i < count; ++i) slots_[free_[free_.size() - 1 - i]].waiting = false;
    // What was sent is a prefix of the requests: the top of the stack.
    free_.resize(free_.size() - sent);
    if (measured(now)) {
      result_.sent += sent;
      result_.refused += count - sent;
    }
    return sent;
  }

  static void rest() noexcept {
    constexpr timespec kRest{.tv_sec = 0, .tv_nsec = 100'000};
    ::nanosleep(&kRest, nullptr);
  }

  // All that has come: more may have been sent at once than one call receives, and what stays
  // behind each time is lost in the end. False where nothing had.
  bool collect() {
    for (bool any = false;; any = true) {
      const auto replies = port_.receive();
      if (replies.empty()) return any;
      const std::int64_t now = now_ns();
      for (const Reply& reply : replies) {
        const Fault fault = take(reply, now);
        if (fault != Fault::none) ++result_.all_faults[static_cast<std::size_t>(fault)];
      }
      if (replies.size() < kMaxBatch) return true;
    }
  }

  Fault take(const Reply& reply, std::int64_t now) {
    const std::uint64_t nonce = echoed_nonce(reply.payload);
    const auto index = static_cast<std::uint32_t>(nonce & kSlotMask);
    if (index >= slots_.size()) return Fault::stray;
    Slot& slot = slots_[index];
    if (!slot.waiting || slot.nonce != nonce || slot.client != reply.client) return Fault::stray;
    const Fault fault =
        reply.from_server ? dialogue_.judge(reply.payload, index, nonce) : Fault::from_address;
    release(index);
    if (fault != Fault::none) return fault;
    ++result_.all_replies;
    if (measured(now)) {
      ++result_.replies;
      result_.latency.add(now - slot.sent_ns);
    }
    return Fault::none;
  }

  void release(std::uint32_t index) {
    slots_[index].waiting = false;
    free_.push_back(index);
  }

  // Ten times in the period after which a request counts as lost.
  void forget_lost(std::int64_t now) {
    next_check_ = now + lost_after_ / 10;
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
      if (!slots_[i].waiting || now - slots_[i].sent_ns < lost_after_) continue;
      if (measured(slots_[i].sent_ns)) ++result_.lost;
      release(i);
    }
  }

  // Waits for the last answers, which count for loss but not for the rate.
  void drain() {
    const std::int64_t until = now_ns() + lost_after_;
    while (now_ns() < until && free_.size() < slots_.size()) {
      if (!collect() && options_.patient) rest();
    }
    for (const Slot& slot : slots_) {
      if (slot.waiting && measured(slot.sent_ns)) ++result_.lost;
    }
  }

  Port& port_;
  Dialogue& dialogue_;
  LoadOptions options_;
  ClientWalk walk_;
  std::int64_t lost_after_;
  std::int64_t measure_from_ = 0;
  std::int64_t measure_to_ = 0;
  std::int64_t next_check_ = 0;
  std::uint64_t offered_ = 0;
  std::uint64_t sequence_ = 0;
  std::vector<Slot> slots_{};
  std::vector<std::uint32_t> free_{};
  std::array<Request, kMaxBatch> requests_{};
  LoadResult result_{};
};

}  // namespace

std::uint32_t slots_of(const LoadOptions& options) noexcept {
  constexpr auto kMost = static_cast<std::uint32_t>(kSlotMask + 1);
  return options.rate > 0 ? kMost : std::clamp<std::uint32_t>(options.outstanding, 1, kMost);
}

LoadResult run_load(Port& port, Dialogue& dialogue, const LoadOptions& options) {
  return Load(port, dialogue, options).run();
}

}  // namespace ntp::bench

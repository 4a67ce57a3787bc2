// One thread's waiting room: file descriptors and timers over plain poll(2).
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/time.h"

namespace ntp::os {

// Everything is called from the one thread that calls run_once(), callbacks included. Callbacks may
// add and remove whatever they like, themselves too. Descriptors stay the caller's: remove the
// watch before closing one. Meant for some dozens of watches and timers (lookups are linear);
// a turn allocates nothing unless something was added since the turn before.
//
// Only poll(2) is used, so that a system-call-level simulator can run the program. It returns early
// when a signal was handled. A signal that lands between the caller's look at its flag and the
// poll is seen one wait later: keep max_wait as short as the promptest answer must be.
class PollLoop {
 public:
  enum class Id : std::uint64_t { none = 0 };  // never reused
  enum class Turn : std::uint8_t {
    ran,          // callbacks of what was ready and due have been called; perhaps none
    interrupted,  // EINTR: nothing was called, look at the signal flags
    failed,       // poll(2) refused (errno is set), or no memory; due timers have been called
  };
  using Ready = std::function<void(short revents)>;
  using Due = std::function<void(RawTime now)>;

  // `now` is asked about three times a turn.
  explicit PollLoop(std::function<RawTime()> now) : now_(std::move(now)) {}
  PollLoop(const PollLoop&) = delete;
  PollLoop& operator=(const PollLoop&) = delete;

  // `events` are poll(2)'s; POLLERR and POLLHUP are told always. With events 0 nothing else is.
  Id watch(int fd, short events, Ready ready);
  void set_events(Id watch, short events);
  void unwatch(Id watch);  // no further call, not even in this turn; Id::none and old ids are fine

  // A timer is quiet until armed, and again once due. Deadlines in the past are due in the next
  // turn (also when armed by a timer's own callback: each timer is called once a turn at most).
  Id add_timer(Due due);
  void arm(Id timer, RawTime deadline);
  void disarm(Id timer);
  void remove_timer(Id timer);

  // A timer that arms itself again: first at now + period. Missed periods are left out, not made
  // up for. Remove it with remove_timer().
  Id every(std::chrono::nanoseconds period, Due due);

  RawTime now() const { return now_(); }

  // Waits until something is ready or due, at most `max_wait`, and calls what is. A callback that
  // runs out of memory (std::bad_alloc) ends there: what is ready is so again in the next turn, a
  // timer that has not armed itself is due again a second later.
  Turn run_once(std::chrono::nanoseconds max_wait);

  // How often a callback ran out of memory.
  std::uint64_t times_put_off() const noexcept { return put_off_; }

 private:
  struct Watch {
    Id id{};  // none: removed
    int fd = -1;
    short events = 0;
    Ready ready;
  };
  struct Timer {
    Id id{};  // none: removed
    bool armed = false;
    RawTime deadline{};
    std::chrono::nanoseconds period{};  // 0: once
    Due due;
  };

  Watch* find_watch(Id id) noexcept;
  Timer* find_timer(Id id) noexcept;
  int timeout_ms(std::chrono::nanoseconds max_wait) const;
  void call_ready();
  void put_off() noexcept;
  void call_due(RawTime now);
  void sweep();

  std::function<RawTime()> now_;
  std::uint64_t last_id_ = 0;
  // By pointer: a callback that adds must not move the one that is running.
  std::vector<std::unique_ptr<Watch>> watches_;
  std::vector<std::unique_ptr<Timer>> timers_;
  std::vector<pollfd> polled_;  // one per watch, in order
  bool removed_any_ = false;
  std::uint64_t put_off_ = 0;
};

}  // namespace ntp::os

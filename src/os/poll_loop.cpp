#include "os/poll_loop.h"

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/memory.h"

namespace ntp::os {
namespace {

using std::chrono::nanoseconds;

constexpr std::chrono::seconds kPutOff{1};
constexpr int kPauseWithoutMemory_ms = 10;

// poll(2) counts in milliseconds. Rounded up: a wait that ends before the deadline would only
// lead to another one.
int whole_milliseconds(nanoseconds wait) noexcept {
  constexpr nanoseconds kLongest = std::chrono::hours(1);
  if (wait <= nanoseconds::zero()) return 0;
  const auto bounded = std::min(wait, kLongest);
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(bounded).count());
}

}  // namespace

PollLoop::Watch* PollLoop::find_watch(Id id) noexcept {
  if (id == Id::none) return nullptr;
  const auto found = std::ranges::find_if(watches_, [id](const auto& w) { return w->id == id; });
  return found == watches_.end() ? nullptr : found->get();
}

PollLoop::Timer* PollLoop::find_timer(Id id) noexcept {
  if (id == Id::none) return nullptr;
  const auto found = std::ranges::find_if(timers_, [id](const auto& t) { return t->id == id; });
  return found == timers_.end() ? nullptr : found->get();
}

PollLoop::Id PollLoop::watch(int fd, short events, Ready ready) {
  NTP_CHECK(fd >= 0);
  const Id id{++last_id_};
  watches_.push_back(std::make_unique<Watch>(Watch{id, fd, events, std::move(ready)}));
  return id;
}

void PollLoop::set_events(Id id, short events) {
  if (Watch* watch = find_watch(id)) watch->events = events;
}

void PollLoop::unwatch(Id id) {
  Watch* watch = find_watch(id);
  if (watch == nullptr) return;
  watch->id = Id::none;  // its callback may be the one that is running: freed by sweep()
  removed_any_ = true;
}

PollLoop::Id PollLoop::add_timer(Due due) {
  const Id id{++last_id_};
  timers_.push_back(std::make_unique<Timer>(Timer{.id = id, .due = std::move(due)}));
  return id;
}

void PollLoop::arm(Id id, RawTime deadline) {
  Timer* timer = find_timer(id);
  if (timer == nullptr) return;
  timer->armed = true;
  timer->deadline = deadline;
}

void PollLoop::disarm(Id id) {
  if (Timer* timer = find_timer(id)) timer->armed = false;
}

void PollLoop::remove_timer(Id id) {
  Timer* timer = find_timer(id);
  if (timer == nullptr) return;
  timer->id = Id::none;
  timer->armed = false;
  removed_any_ = true;
}

PollLoop::Id PollLoop::every(nanoseconds period, Due due) {
  NTP_CHECK(period > nanoseconds::zero());
  const Id id = add_timer(std::move(due));
  timers_.back()->period = period;
  arm(id, now_() + period);
  return id;
}

int PollLoop::timeout_ms(nanoseconds max_wait) const {
  nanoseconds wait = std::max(max_wait, nanoseconds::zero());
  const RawTime now = now_();
  for (const auto& timer : timers_) {
    if (timer->armed) wait = std::min(wait, timer->deadline - now);
  }
  return whole_milliseconds(wait);
}

PollLoop::Turn PollLoop::run_once(nanoseconds max_wait) {
  sweep();
  const int timeout = timeout_ms(max_wait);
  polled_.clear();
  if (!within_memory([this] { polled_.reserve(watches_.size()); })) {
    put_off();
    call_due(now_());
    return Turn::failed;
  }
  for (const auto& watch : watches_) polled_.push_back({watch->fd, watch->events, 0});
  const int ready = ::poll(polled_.data(), polled_.size(), timeout);
  if (ready < 0 && errno == EINTR) return Turn::interrupted;
  const int error = errno;
  if (ready > 0) call_ready();
  call_due(now_());
  if (ready >= 0) return Turn::ran;
  errno = error;
  return Turn::failed;
}

void PollLoop::call_ready() {
  // Watches added by a callback stand behind those polled, so the indexes agree until sweep().
  for (std::size_t i = 0; i < polled_.size(); ++i) {
    if (polled_[i].revents == 0) continue;
    Watch& watch = *watches_[i];
    if (watch.id == Id::none) continue;
    NTP_CHECK((polled_[i].revents & POLLNVAL) == 0);  // closed while watched: our own bug
    const short events = polled_[i].revents;
    if (!within_memory([&] { watch.ready(events); })) put_off();
  }
}

void PollLoop::call_due(RawTime now) {
  const std::size_t count = timers_.size();  // those added meanwhile wait for the next turn
  for (std::size_t i = 0; i < count; ++i) {
    Timer& timer = *timers_[i];
    if (!timer.armed || timer.deadline > now) continue;
    timer.armed = false;
    if (timer.period > nanoseconds::zero()) {
      const RawTime next = timer.deadline + timer.period;
      arm(timer.id, next > now ? next : now + timer.period);
    }
    if (within_memory([&] { timer.due(now); })) continue;
    put_off();
    if (timer.id != Id::none && !timer.armed) arm(timer.id, now + kPutOff);
  }
}

// With nothing but the same lack ahead, a loop without a pause would only take the processor.
void PollLoop::put_off() noexcept {
  ++put_off_;
  ::poll(nullptr, 0, kPauseWithoutMemory_ms);
}

void PollLoop::sweep() {
  if (!removed_any_) return;
  std::erase_if(watches_, [](const auto& watch) { return watch->id == Id::none; });
  std::erase_if(timers_, [](const auto& timer) { return timer->id == Id::none; });
  removed_any_ = false;
}

}  // namespace ntp::os

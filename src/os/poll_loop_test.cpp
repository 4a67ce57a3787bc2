#include "os/poll_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <time.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <new>
#include <thread>

#include "os/clocks.h"
#include "os/fd.h"

namespace {
std::atomic<long> allocations{0};
}  // namespace

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NTP_SANITIZER_OWNS_NEW  // it cannot be replaced there, so nothing is counted
#endif
#endif

#ifndef NTP_SANITIZER_OWNS_NEW
// Counts, so that a test can say that a turn allocates nothing.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace ntp::os {
namespace {

using namespace std::chrono_literals;

struct Pair {
  Fd near;
  Fd far;

  Pair() {
    std::array<int, 2> fds{-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0);
    near = Fd(fds[0]);
    far = Fd(fds[1]);
  }
  void poke() { EXPECT_EQ(::send(far.get(), "x", 1, 0), 1); }
  void drain() {
    char octet = 0;
    EXPECT_EQ(::recv(near.get(), &octet, 1, 0), 1);
  }
};

// Time stands still unless a test moves it; poll(2) is only ever asked not to wait.
struct Hand {
  RawTime time{1000s};
  PollLoop loop{[this] { return time; }};
};

TEST(PollLoop, CallsWhatIsReadyAndNothingElse) {
  Hand hand;
  Pair quiet;
  Pair loud;
  int quiet_calls = 0;
  short seen = 0;
  hand.loop.watch(quiet.near.get(), POLLIN, [&](short) { ++quiet_calls; });
  hand.loop.watch(loud.near.get(), POLLIN, [&](short revents) { seen = revents; });
  loud.poke();
  EXPECT_EQ(hand.loop.run_once(0s), PollLoop::Turn::ran);
  EXPECT_EQ(quiet_calls, 0);
  EXPECT_EQ(seen, POLLIN);
}

TEST(PollLoop, WhatLacksMemoryIsPutOffAndNothingElse) {
  Hand hand;
  Pair pair;
  bool lacks = true;
  int ready = 0;
  int once = 0;
  int others = 0;
  const auto work = [&lacks](int& done) {
    if (lacks) throw std::bad_alloc();
    ++done;
  };
  hand.loop.watch(pair.near.get(), POLLIN, [&](short) { work(ready); });
  const auto timer = hand.loop.add_timer([&](RawTime) { work(once); });
  hand.loop.arm(timer, hand.time);
  hand.loop.every(1s, [&](RawTime) { ++others; });
  pair.poke();
  hand.time += 1s;
  EXPECT_EQ(hand.loop.run_once(0s), PollLoop::Turn::ran);
  EXPECT_EQ(hand.loop.times_put_off(), 2u);
  EXPECT_EQ(others, 1);
  lacks = false;
  hand.loop.run_once(0s);
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(once, 0) << "a timer that has not armed itself waits for a second";
  hand.time += 1s;
  hand.loop.run_once(0s);
  EXPECT_EQ(once, 1);
  hand.time += 5s;
  hand.loop.run_once(0s);
  EXPECT_EQ(once, 1);
}

TEST(PollLoop, AWatchWithoutEventsStaysQuietUntilThePeerIsGone) {
  Hand hand;
  Pair pair;
  short seen = 0;
  const auto id = hand.loop.watch(pair.near.get(), POLLIN, [&](short revents) { seen = revents; });
  hand.loop.set_events(id, 0);
  pair.poke();
  hand.loop.run_once(0s);
  EXPECT_EQ(seen, 0);
  pair.far.reset();
  hand.loop.run_once(0s);
  EXPECT_NE(seen & POLLHUP, 0);
}

TEST(PollLoop, ACallbackMayRemoveItselfAndOthersInTheSameTurn) {
  Hand hand;
  std::array<Pair, 3> pairs;
  std::array<PollLoop::Id, 3> ids{};
  int calls = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    ids[i] = hand.loop.watch(pairs[i].near.get(), POLLIN, [&](short) {
      ++calls;
      for (const auto id : ids) hand.loop.unwatch(id);
      for (auto& pair : pairs) pair.near.reset();
    });
    pairs[i].poke();
  }
  hand.loop.run_once(0s);
  EXPECT_EQ(calls, 1);
  hand.loop.run_once(0s);
  EXPECT_EQ(calls, 1);
}

TEST(PollLoop, ACallbackMayAddManyWatchesWhileItRuns) {
  Hand hand;
  Pair first;
  std::array<Pair, 100> more;
  int added_calls = 0;
  std::string alive(100, 'x');  // lives in the closure: moving that one away would break it
  PollLoop::Id id = hand.loop.watch(first.near.get(), POLLIN, [&, alive](short) {
    for (auto& pair : more) {
      pair.poke();
      hand.loop.watch(pair.near.get(), POLLIN, [&](short) {
        ++added_calls;
        pair.drain();
      });
    }
    EXPECT_EQ(alive, std::string(100, 'x'));
    hand.loop.unwatch(id);
  });
  first.poke();
  hand.loop.run_once(0s);
  EXPECT_EQ(added_calls, 0);
  hand.loop.run_once(0s);
  EXPECT_EQ(added_calls, 100);
}

TEST(PollLoop, ATimerIsDueOnceAndNotBeforeItsDeadline) {
  Hand hand;
  std::vector<RawTime> calls;
  const auto id = hand.loop.add_timer([&](RawTime now) { calls.push_back(now); });
  hand.loop.run_once(0s);
  EXPECT_TRUE(calls.empty()) << "not armed yet";
  hand.loop.arm(id, hand.time + 10ms);
  hand.loop.run_once(0s);
  EXPECT_TRUE(calls.empty());
  hand.time += 10ms;
  hand.loop.run_once(0s);
  hand.loop.run_once(0s);
  EXPECT_EQ(calls, std::vector{hand.time});
  hand.loop.arm(id, hand.time);
  hand.loop.disarm(id);
  hand.loop.run_once(0s);
  EXPECT_EQ(calls.size(), 1u);
}

TEST(PollLoop, ATimerThatArmsItselfInThePastStillEndsTheTurn) {
  Hand hand;
  int calls = 0;
  PollLoop::Id id{};
  id = hand.loop.add_timer([&](RawTime now) {
    ++calls;
    hand.loop.arm(id, now - 1s);
  });
  hand.loop.arm(id, hand.time);
  hand.loop.run_once(1h);
  EXPECT_EQ(calls, 1);
  hand.loop.run_once(1h);
  EXPECT_EQ(calls, 2);
}

TEST(PollLoop, APeriodicTimerKeepsItsPhaseAndDoesNotMakeUpForMissedPeriods) {
  Hand hand;
  std::vector<RawTime> calls;
  const RawTime start = hand.time;
  const auto id = hand.loop.every(1s, [&](RawTime now) { calls.push_back(now); });
  for (const auto at : {900ms, 1200ms, 2100ms, 60'500ms, 61'400ms, 61'500ms}) {
    hand.time = start + at;
    hand.loop.run_once(0s);
  }
  EXPECT_EQ(calls,
            (std::vector{start + 1200ms, start + 2100ms, start + 60'500ms, start + 61'500ms}));
  hand.loop.remove_timer(id);
  hand.time += 10s;
  hand.loop.run_once(0s);
  EXPECT_EQ(calls.size(), 4u);
}

TEST(PollLoop, ATimerMayRemoveItselfAndOthers) {
  Hand hand;
  int calls = 0;
  std::array<PollLoop::Id, 3> ids{};
  for (auto& id : ids) {
    id = hand.loop.every(1s, [&](RawTime) {
      ++calls;
      for (const auto other : ids) hand.loop.remove_timer(other);
    });
  }
  hand.time += 2s;
  hand.loop.run_once(0s);
  hand.time += 2s;
  hand.loop.run_once(0s);
  EXPECT_EQ(calls, 1);
}

TEST(PollLoop, WaitsForADeadlineAndNoLonger) {
  PollLoop loop(raw_now);
  RawTime due{};
  const RawTime deadline = raw_now() + 20ms;
  loop.arm(loop.add_timer([&](RawTime now) { due = now; }), deadline);
  int turns = 0;
  while (due == RawTime{} && turns < 1000) {
    loop.run_once(60s);
    ++turns;
  }
  EXPECT_GE(due, deadline);
  EXPECT_LT(due, deadline + 10s);
  EXPECT_LE(turns, 3) << "it spins instead of waiting";
}

TEST(PollLoop, ASignalEndsTheWaitWithoutCallingAnything) {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
  PollLoop loop(raw_now);
  const pthread_t waiter = ::pthread_self();
  std::atomic<bool> done{false};
  // The signal is sent until it was seen: one that comes before poll(2) began would be lost.
  std::thread sender([&] {
    while (!done) {
      ::pthread_kill(waiter, SIGUSR1);
      const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
      ::nanosleep(&pause, nullptr);
    }
  });
  const auto turn = loop.run_once(60s);
  done = true;
  sender.join();
  EXPECT_EQ(turn, PollLoop::Turn::interrupted);
}

TEST(PollLoop, TurnsAllocateNothingOnceWarm) {
  Hand hand;
  Pair pair;
  int calls = 0;
  hand.loop.watch(pair.near.get(), POLLIN, [&](short) {
    ++calls;
    pair.drain();
  });
  hand.loop.every(1s, [&](RawTime) { ++calls; });
  const auto turn = [&] {
    pair.poke();
    hand.time += 1s;
    hand.loop.run_once(0s);
  };
  turn();
  const long before = allocations;
  for (int i = 0; i < 100; ++i) turn();
  EXPECT_EQ(allocations - before, 0);
  EXPECT_EQ(calls, 202);
}

TEST(PollLoopDeathTest, AClosedDescriptorThatIsStillWatchedIsOurOwnBug) {
  EXPECT_DEATH(
      {
        Hand hand;
        Pair pair;
        hand.loop.watch(pair.near.get(), POLLIN, [](short) {});
        pair.near.reset();
        hand.loop.run_once(0s);
      },
      "POLLNVAL");
}

}  // namespace
}  // namespace ntp::os

#include "base/published.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/ring.h"

namespace ntp {
namespace {

struct Pair {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
};

TEST(Published, AReaderNeverSeesHalfAValue) {
  Published<Pair> published(Pair{});
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (std::uint64_t i = 1; i <= 200'000; ++i) published.publish({i, 2 * i, 3 * i});
    done = true;
  });
  std::uint64_t last = 0;
  while (!done) {
    const Pair seen = published.read();
    ASSERT_EQ(seen.b, 2 * seen.a);
    ASSERT_EQ(seen.c, 3 * seen.a);
    ASSERT_GE(seen.a, last);
    last = seen.a;
  }
  writer.join();
  EXPECT_EQ(published.read().a, 200'000u);
}

TEST(SpscRing, KeepsOrderAndCountsWhatItHadNoRoomFor) {
  SpscRing<int, 4> ring;
  for (int i = 0; i < 6; ++i) ring.push(i);
  EXPECT_EQ(ring.dropped(), 2u);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(ring.pop(), i);
  EXPECT_EQ(ring.pop(), std::nullopt);
}

TEST(SpscRing, WhatCrossesToTheOtherThreadKeepsItsOrderAndNothingIsLostUncounted) {
  SpscRing<int, 64> ring;
  constexpr int kCount = 100'000;
  std::atomic<bool> done{false};
  std::thread producer([&] {
    for (int i = 0; i < kCount; ++i) ring.push(i);
    done = true;
  });
  int last = -1;
  std::size_t seen = 0;
  for (;;) {
    const bool was_done = done;
    while (const auto value = ring.pop()) {
      ASSERT_GT(*value, last);
      last = *value;
      ++seen;
    }
    if (was_done) break;
  }
  producer.join();
  EXPECT_EQ(seen + ring.dropped(), static_cast<std::size_t>(kCount));
}

}  // namespace
}  // namespace ntp

#include "crypto/secret.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cmath>
#include <memory>
#include <new>
#include <random>
#include <vector>

namespace ntp::crypto {
namespace {

constexpr auto kText = std::to_array<std::byte>({std::byte{1}, std::byte{2}, std::byte{3}});

TEST(SecretBytes, NothingIsLeftWhereItStood) {
  alignas(SecretBytes<16>) std::array<std::byte, sizeof(SecretBytes<16>)> place{};
  auto* secret = new (place.data()) SecretBytes<16>(kText);
  EXPECT_TRUE(std::ranges::equal(std::span(place).first(3), kText));
  secret->~SecretBytes<16>();
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(place[i], std::byte{});
}

TEST(SecretBytes, AShorterOneWipesTheLonger) {
  SecretBytes<16> secret(kText);
  secret.assign(std::span(kText).first(1));
  EXPECT_EQ(secret.size(), 1u);
  EXPECT_EQ(secret.resize(3)[1], std::byte{});
  secret.clear();
  EXPECT_TRUE(secret.empty());
}

TEST(SecretBytes, EqualMeansEqualInLengthToo) {
  EXPECT_EQ(SecretBytes<16>(kText), SecretBytes<16>(kText));
  EXPECT_NE(SecretBytes<16>(kText), SecretBytes<16>(std::span(kText).first(2)));
  SecretBytes<16> other(kText);
  other.resize(3)[0] = std::byte{9};
  EXPECT_NE(SecretBytes<16>(kText), other);
  EXPECT_TRUE(equal_in_constant_time({}, {}));
}

// ---- the time that a comparison takes (A16)

// Octets that were never written: under valgrind (./dev test memcheck) every branch and every place
// in memory that depends on them is an error.
TEST(EqualInConstantTime, NoBranchDependsOnWhatIsCompared) {
  static volatile bool sink;
  for (const std::size_t size : {16u, 20u, 64u}) {
    const std::unique_ptr<std::byte[]> a(new std::byte[size]), b(new std::byte[size]);
    sink = equal_in_constant_time({a.get(), size}, {b.get(), size});
  }
  (void)sink;
}

// Welch's t of how long `equal` takes when the first octet differs against when the last one does,
// after the way of dudect: the two are measured in random order, so that what else the machine does
// falls on both alike and can only hide a difference, never make one; and the slowest tenth, which
// was interrupted, is left out.
template <typename Equal>
double t_of_first_against_last(std::size_t size, int measurements, Equal equal) {
  constexpr int kCalls = 16;  // in a row: more than the clock's resolution
  const std::vector<std::byte> secret(size, std::byte{0x5a});
  std::vector<std::byte> tried(size);
  std::mt19937_64 dice(7);
  std::array<std::vector<double>, 2> took;
  for (int i = 0; i < measurements; ++i) {
    const std::size_t last = dice() & 1;
    tried = secret;  // in the same place: no cache line tells them apart
    tried[last != 0 ? size - 1 : 0] ^= std::byte{1};
    int same = 0;
    const auto begun = std::chrono::steady_clock::now();
    for (int call = 0; call < kCalls; ++call) same += equal(secret, tried) ? 1 : 0;
    const auto ended = std::chrono::steady_clock::now();
    EXPECT_EQ(same, 0);
    took[last].push_back(std::chrono::duration<double, std::nano>(ended - begun).count());
  }
  std::vector<double> all(took[0]);
  all.insert(all.end(), took[1].begin(), took[1].end());
  std::ranges::sort(all);
  const double slow = all[all.size() * 9 / 10];
  std::array<double, 2> mean{}, variance{};
  for (std::size_t k = 0; k < 2; ++k) {
    std::erase_if(took[k], [slow](double ns) { return ns > slow; });
    const auto count = static_cast<double>(took[k].size());
    for (const double ns : took[k]) mean[k] += ns / count;
    for (const double ns : took[k])
      variance[k] += (ns - mean[k]) * (ns - mean[k]) / (count - 1) / count;
  }
  return (mean[1] - mean[0]) / std::sqrt(variance[0] + variance[1] + 1e-12);
}

// What must not be: ends at the first difference.
bool ends_early(std::span<const std::byte> a, std::span<const std::byte> b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (*static_cast<const volatile std::byte*>(&a[i]) != b[i]) return false;
  }
  return true;
}

// By hand and on a quiet machine (--gtest_also_run_disabled_tests): time is no test.
TEST(EqualInConstantTime, DISABLED_TellsNothingByItsTime) {
  constexpr double kDifferent = 4.5;  // dudect's
  // The ways of looking at it are good enough to see a comparison that ends early.
  EXPECT_GT(t_of_first_against_last(64, 20'000, ends_early), kDifferent);
  for (const std::size_t size : {16u, 20u, 64u}) {
    EXPECT_LT(std::abs(t_of_first_against_last(size, 200'000, equal_in_constant_time)), kDifferent)
        << size;
  }
}

}  // namespace
}  // namespace ntp::crypto

// G12: no packet costs an allocation. This program counts every one of its own.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "case_table.h"
#include "golden_rules.h"

// Where they are inlined, g++ 12 takes the pair below for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace {
std::atomic<std::uint64_t> allocations{0};
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
  std::abort();
}
// std::stable_sort asks this way; a sanitizer's own would not go with the operators below.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size != 0 ? size : 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace ntp::wire_test {
namespace {

TEST(GoldenRules, NoPacketCostsAnAllocation) {
  const auto cases = read_case_table(case_table_path());
  ASSERT_GT(allocations, 1000u) << "nothing is counted";
  const wire::Header clock = server::describe_clock({}, RawTime{});
  for (const Case& c : cases) {
    const Situation situation{
        .arrival = arrival_of(c, IpAddress::Family::v4), .clock = clock, .rec = {1}, .xmt = {2}};
    const std::uint64_t before = allocations;
    const Reaction reaction = react(situation);
    EXPECT_EQ(allocations - before, 0u) << c.id << reaction.has_value();
  }
}

// Nor one that is proven, nor one that pretends to be.
TEST(GoldenRules, NoPacketWithAMacOrNtsCostsAnAllocation) {
  const auto file = server::parse_key_file("6 AES128 HEX:00112233445566778899aabbccddeeff\n");
  std::array<std::byte, 32> secret;
  for (std::size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<std::byte>(i + 1);
  const nts::CookieKeys cookies({.secret = secret, .epoch = 20'000});
  crypto::RandomStream random({});
  server::Seal seal;
  server::Authentication by{.secrets = {&file.keys, &cookies}, .random = random, .seal = seal};
  const wire::Header clock = server::describe_clock({}, RawTime{});
  NoiseSource noise(1);
  std::array<std::byte, nts::kMaxReply> out;
  int proven = 0;
  for (const Case& c : read_case_table(keyed_table_path())) {
    const auto arrival = arrival_of(c, IpAddress::Family::v4);
    const std::uint64_t before = allocations;
    auto reply = server::respond(arrival, clock, {}, {1}, nullptr, &by);
    if (reply) server::seal(*reply, arrival, {2}, noise, seal, std::span(out).first(seal.size()));
    EXPECT_EQ(allocations - before, 0u) << c.id;
    if (reply && seal.is_proven()) ++proven;
  }
  EXPECT_GT(proven, 50);
}

}  // namespace
}  // namespace ntp::wire_test

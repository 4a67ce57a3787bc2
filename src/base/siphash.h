// SipHash-1-3 (Aumasson and Bernstein, 2012) of nine octets: a hash whose values nobody can
// foretell who lacks the key, so that nobody can choose what collides in a table.
#pragma once

#include <bit>
#include <cstdint>

namespace ntp {

struct SipKey {
  std::uint64_t first = 0;  // the key's sixteen octets as two little-endian words
  std::uint64_t second = 0;
};

// Of `word`, as eight octets in little-endian order, and `tail` behind it.
constexpr std::uint64_t siphash(const SipKey& key, std::uint64_t word, std::uint8_t tail) noexcept {
  std::uint64_t a = key.first ^ 0x736f6d6570736575;
  std::uint64_t b = key.second ^ 0x646f72616e646f6d;
  std::uint64_t c = key.first ^ 0x6c7967656e657261;
  std::uint64_t d = key.second ^ 0x7465646279746573;
  const auto round = [&]() noexcept {
    a += b;
    c += d;
    b = std::rotl(b, 13) ^ a;
    d = std::rotl(d, 16) ^ c;
    a = std::rotl(a, 32) + d;
    c += b;
    d = std::rotl(d, 21) ^ a;
    b = std::rotl(b, 17) ^ c;
    c = std::rotl(c, 32);
  };
  const auto absorb = [&](std::uint64_t block) noexcept {
    d ^= block;
    round();
    a ^= block;
  };
  absorb(word);
  absorb(std::uint64_t{9} << 56 | tail);  // the length of the message stands in the last octet
  c ^= 0xff;
  round();
  round();
  round();
  return a ^ b ^ c ^ d;
}

// From `openssl mac -macopt c-rounds:1 -macopt d-rounds:3 SIPHASH` with key 00 01 … 0f.
static_assert(siphash({0x0706050403020100, 0x0f0e0d0c0b0a0908}, 0x0706050403020100, 0x08) ==
              0x25a48eb36c063de4);

}  // namespace ntp

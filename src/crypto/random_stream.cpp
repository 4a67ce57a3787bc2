#include "crypto/random_stream.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/few.h"
#include "crypto/secret.h"

namespace ntp::crypto {

namespace {

constexpr std::size_t kWords = 16;  // of a block
constexpr std::size_t kLanes = 4;   // blocks that are computed side by side
// One word of each of them.
using Lanes [[gnu::vector_size(4 * kLanes)]] = std::uint32_t;

inline void add_and_turn(Lanes& a, const Lanes& b, Lanes& c, int bits) noexcept {
  a += b;
  c ^= a;
  c = c << bits | c >> (32 - bits);
}

inline void quarter_round(Lanes& a, Lanes& b, Lanes& c, Lanes& d) noexcept {
  add_and_turn(a, b, d, 16);
  add_and_turn(c, d, b, 12);
  add_and_turn(a, b, d, 8);
  add_and_turn(c, d, b, 7);
}

std::uint32_t little(std::uint32_t word) noexcept {
  return std::endian::native == std::endian::little ? word : __builtin_bswap32(word);
}

// RFC 8439 section 2.3 with a nonce of zeros (no key is used twice): as many blocks as `out` has
// room for, a multiple of kLanes. A library that computes one block after the other takes five
// times as long.
void chacha20(const RandomStream::Seed& key, std::span<std::byte> out) noexcept {
  Lanes start[kWords] = {Lanes{} + 0x61707865, Lanes{} + 0x3320646e, Lanes{} + 0x79622d32,
                         Lanes{} + 0x6b206574};
  for (std::size_t i = 0; i < key.size() / 4; ++i) {
    std::uint32_t word = 0;
    std::memcpy(&word, key.data() + 4 * i, sizeof word);
    start[4 + i] += little(word);
  }
  start[12] = Lanes{0, 1, 2, 3};
  NTP_UNINITIALIZED Lanes x[kWords];
  for (; !out.empty(); out = out.subspan(kLanes * 4 * kWords)) {
    std::ranges::copy(start, x);
    for (int i = 0; i < 10; ++i) {
      quarter_round(x[0], x[4], x[8], x[12]);
      quarter_round(x[1], x[5], x[9], x[13]);
      quarter_round(x[2], x[6], x[10], x[14]);
      quarter_round(x[3], x[7], x[11], x[15]);
      quarter_round(x[0], x[5], x[10], x[15]);
      quarter_round(x[1], x[6], x[11], x[12]);
      quarter_round(x[2], x[7], x[8], x[13]);
      quarter_round(x[3], x[4], x[9], x[14]);
    }
    for (std::size_t i = 0; i < kWords; ++i) {
      x[i] += start[i];
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const std::uint32_t word = little(x[i][lane]);
        std::memcpy(out.data() + 4 * (lane * kWords + i), &word, sizeof word);
      }
    }
    start[12] += kLanes;
  }
  wipe_object(start);
  wipe_object(x);
}

}  // namespace

RandomStream::RandomStream(const Seed& seed) noexcept : key_(seed) {}

RandomStream::~RandomStream() {
  wipe(key_);
  wipe(ready_);
}

void RandomStream::refill() noexcept {
  NTP_UNINITIALIZED std::array<std::byte, kSeedSize + sizeof(ready_)> made;
  static_assert(sizeof made % (kLanes * 4 * kWords) == 0);
  chacha20(key_, made);
  std::copy_n(made.begin(), kSeedSize, key_.begin());
  std::copy(made.begin() + kSeedSize, made.end(), ready_.begin());
  used_ = 0;
  wipe(made);
}

void RandomStream::fill(std::span<std::byte> out) noexcept {
  while (!out.empty()) {
    if (used_ == ready_.size()) refill();
    const std::size_t n = std::min(out.size(), ready_.size() - used_);
    const auto given = std::span(ready_).subspan(used_, n);
    copy_octets(given, out);
    wipe(given);
    used_ += n;
    out = out.subspan(n);
  }
}

}  // namespace ntp::crypto

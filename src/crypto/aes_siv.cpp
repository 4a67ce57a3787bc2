#include "crypto/aes_siv.h"

#include "base/check.h"

#if defined(__x86_64__)

#include <wmmintrin.h>

#include <algorithm>
#include <cstring>

// Every function that works on blocks is compiled for them; none is called elsewhere.
#define NTP_AES __attribute__((target("aes,sse2")))
#define NTP_AES_INLINE NTP_AES __attribute__((always_inline)) inline
// Blocks that a loop counts through stay in registers only where there is no loop.
#if defined(__clang__)
#define NTP_UNROLL _Pragma("unroll")
#else
#define NTP_UNROLL _Pragma("GCC unroll 16")
#endif

namespace ntp::crypto {
namespace {

using Block = __m128i;
using Octets = std::span<const std::byte>;
constexpr std::size_t kBlock = 16;
constexpr int kRounds = 10;
constexpr int kLanes = 4;  // of the counter mode: as many as keep the AES unit busy

NTP_AES_INLINE Block load(const void* from) {
  return _mm_loadu_si128(static_cast<const Block*>(from));
}
NTP_AES_INLINE void store(void* to, Block block) {
  _mm_storeu_si128(static_cast<Block*>(to), block);
}

struct RoundKeys {
  Block of[kRounds + 1];
};

NTP_AES_INLINE RoundKeys load_keys(const std::array<SivSchedule::Block, kRounds + 1>& from) {
  RoundKeys keys;
  NTP_UNROLL
  for (int i = 0; i <= kRounds; ++i) keys.of[i] = load(&from[static_cast<std::size_t>(i)]);
  return keys;
}

// As many blocks at a time as there are: the instructions of one wait for each other.
template <int kCount>
NTP_AES_INLINE void encrypt(const RoundKeys& keys, Block (&blocks)[kCount]) {
  NTP_UNROLL
  for (int i = 0; i < kCount; ++i) blocks[i] = _mm_xor_si128(blocks[i], keys.of[0]);
  NTP_UNROLL
  for (int round = 1; round < kRounds; ++round) {
    NTP_UNROLL
    for (int i = 0; i < kCount; ++i) blocks[i] = _mm_aesenc_si128(blocks[i], keys.of[round]);
  }
  NTP_UNROLL
  for (int i = 0; i < kCount; ++i) blocks[i] = _mm_aesenclast_si128(blocks[i], keys.of[kRounds]);
}

NTP_AES_INLINE Block encrypt(const RoundKeys& keys, Block block) {
  Block one[1] = {block};
  encrypt(keys, one);
  return one[0];
}

// FIPS 197 section 5.2 of two keys at a time.
template <int kConstant>
NTP_AES_INLINE Block next_key(Block key) {
  const Block turned = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, kConstant), 0xff);
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, turned);
}

template <int kConstant>
NTP_AES_INLINE void expand(RoundKeys& a, RoundKeys& b, int round) {
  a.of[round] = next_key<kConstant>(a.of[round - 1]);
  b.of[round] = next_key<kConstant>(b.of[round - 1]);
}

NTP_AES_INLINE void expand_keys(RoundKeys& a, RoundKeys& b) {
  expand<0x01>(a, b, 1);
  expand<0x02>(a, b, 2);
  expand<0x04>(a, b, 3);
  expand<0x08>(a, b, 4);
  expand<0x10>(a, b, 5);
  expand<0x20>(a, b, 6);
  expand<0x40>(a, b, 7);
  expand<0x80>(a, b, 8);
  expand<0x1b>(a, b, 9);
  expand<0x36>(a, b, 10);
}

// RFC 5297 section 2.3: times x, the first octet being the most significant.
NTP_AES_INLINE Block dbl(Block block) {
  std::uint64_t words[2];
  store(words, block);
  const std::uint64_t high = __builtin_bswap64(words[0]);
  const std::uint64_t low = __builtin_bswap64(words[1]);
  words[0] = __builtin_bswap64(high << 1 | low >> 63);
  words[1] = __builtin_bswap64(low << 1 ^ ((0 - (high >> 63)) & 0x87));
  return load(words);
}

// Under 16 octets, then a one and zeros.
NTP_AES_INLINE Block padded(Octets rest) {
  alignas(kBlock) std::uint8_t block[kBlock] = {};
  if (!rest.empty()) std::memcpy(block, rest.data(), rest.size());
  block[rest.size()] = 0x80;
  return load(block);
}

// How many blocks stand before the last one, which is whole or cut, and may be empty only alone.
NTP_AES_INLINE std::size_t before_last(std::size_t size) {
  return size == 0 ? 0 : (size - 1) / kBlock;
}

// What CMAC (RFC 4493) encrypts last, but for the chain so far.
NTP_AES_INLINE Block last_block(const SivSchedule& schedule, Octets message) {
  const Octets last = message.subspan(before_last(message.size()) * kBlock);
  if (last.size() == kBlock) return _mm_xor_si128(load(last.data()), load(&schedule.whole));
  return _mm_xor_si128(padded(last), load(&schedule.cut));
}

NTP_AES_INLINE Block chain(const RoundKeys& keys, Block state, const std::byte* from,
                           std::size_t blocks) {
  for (std::size_t i = 0; i < blocks; ++i) {
    state = encrypt(keys, _mm_xor_si128(state, load(from + i * kBlock)));
  }
  return state;
}

// S2V (RFC 5297 section 2.4) of the associated data, the nonce and the plaintext. The blocks of the
// first and those of the third that do not depend on it go side by side.
NTP_AES_INLINE Block s2v(const SivSchedule& schedule, Octets nonce, Octets associated,
                         Octets plaintext) {
  const RoundKeys keys = load_keys(schedule.mac);
  const std::size_t of_associated = before_last(associated.size());
  const std::size_t of_plaintext =
      plaintext.size() < kBlock ? 0 : (plaintext.size() - kBlock) / kBlock;
  const std::size_t both = std::min(of_associated, of_plaintext);
  Block two[2] = {_mm_setzero_si128(), _mm_setzero_si128()};
  for (std::size_t i = 0; i < both; ++i) {
    two[0] = _mm_xor_si128(two[0], load(associated.data() + i * kBlock));
    two[1] = _mm_xor_si128(two[1], load(plaintext.data() + i * kBlock));
    encrypt(keys, two);
  }
  Block v = chain(keys, two[1], plaintext.data() + both * kBlock, of_plaintext - both);
  Block ends[2] = {chain(keys, two[0], associated.data() + both * kBlock, of_associated - both),
                   chain(keys, _mm_setzero_si128(), nonce.data(), before_last(nonce.size()))};
  ends[0] = _mm_xor_si128(ends[0], last_block(schedule, associated));
  ends[1] = _mm_xor_si128(ends[1], last_block(schedule, nonce));
  encrypt(keys, ends);
  const Block d = _mm_xor_si128(dbl(_mm_xor_si128(load(&schedule.start), ends[0])), ends[1]);

  if (plaintext.size() < kBlock) {
    const Block t = _mm_xor_si128(dbl(d), padded(plaintext));
    return encrypt(keys, _mm_xor_si128(t, load(&schedule.whole)));
  }
  // The last 16 to 31 octets, of which the last 16 have d added to them.
  const Octets rest = plaintext.subspan(of_plaintext * kBlock);
  alignas(kBlock) std::byte tail[2 * kBlock] = {};
  std::memcpy(tail, rest.data(), rest.size());
  std::byte* const end = tail + rest.size() - kBlock;
  store(end, _mm_xor_si128(load(end), d));
  v = _mm_xor_si128(v, load(tail));
  if (rest.size() == kBlock) return encrypt(keys, _mm_xor_si128(v, load(&schedule.whole)));
  v = encrypt(keys, v);
  tail[rest.size()] = std::byte{0x80};
  v = _mm_xor_si128(v, _mm_xor_si128(load(tail + kBlock), load(&schedule.cut)));
  return encrypt(keys, v);
}

// RFC 5297 section 2.5. Two bits of the counter are cleared, so that 32 of it never overflow.
NTP_AES_INLINE void crypt(const SivSchedule& schedule, Block v, Octets from, std::byte* to) {
  const RoundKeys keys = load_keys(schedule.ctr);
  alignas(kBlock) std::uint8_t counter[kBlock];
  store(counter, v);
  counter[8] &= 0x7f;
  counter[12] &= 0x7f;
  std::uint32_t number = 0;
  std::memcpy(&number, counter + 12, sizeof number);
  number = __builtin_bswap32(number);
  const Block fixed = load(counter);
  for (std::size_t at = 0; at < from.size();) {
    Block lanes[kLanes];
    NTP_UNROLL
    for (Block& lane : lanes) {
      const auto low = static_cast<int>(__builtin_bswap32(number++));
      // The fourth word of the counter is this block's.
      lane = _mm_unpacklo_epi64(
          fixed, _mm_unpacklo_epi32(_mm_srli_si128(fixed, 8), _mm_cvtsi32_si128(low)));
    }
    encrypt(keys, lanes);
    for (const Block lane : lanes) {
      if (at >= from.size()) break;
      const std::size_t size = std::min(kBlock, from.size() - at);
      if (size == kBlock) {
        store(to + at, _mm_xor_si128(lane, load(from.data() + at)));
      } else {
        alignas(kBlock) std::byte stream[kBlock];
        store(stream, lane);
        for (std::size_t i = 0; i < size; ++i) to[at + i] = from[at + i] ^ stream[i];
      }
      at += size;
    }
  }
}

}  // namespace

bool has_aes_instructions() noexcept {
  static const bool has = __builtin_cpu_supports("aes") != 0;
  return has;
}

NTP_AES void siv_set_key(SivSchedule& schedule, std::span<const std::byte, 32> key) noexcept {
  RoundKeys mac;
  RoundKeys ctr;
  mac.of[0] = load(key.data());
  ctr.of[0] = load(key.data() + kBlock);
  expand_keys(mac, ctr);
  NTP_UNROLL
  for (int i = 0; i <= kRounds; ++i) {
    store(&schedule.mac[static_cast<std::size_t>(i)], mac.of[i]);
    store(&schedule.ctr[static_cast<std::size_t>(i)], ctr.of[i]);
  }
  const Block whole = dbl(encrypt(mac, _mm_setzero_si128()));
  store(&schedule.whole, whole);
  store(&schedule.cut, dbl(whole));
  store(&schedule.start, dbl(encrypt(mac, whole)));
}

NTP_AES void siv_seal(const SivSchedule& schedule, std::span<const std::byte> nonce,
                      std::span<const std::byte> associated, std::span<const std::byte> plaintext,
                      std::span<std::byte> out) noexcept {
  const Block v = s2v(schedule, nonce, associated, plaintext);
  store(out.data(), v);
  crypt(schedule, v, plaintext, out.data() + kBlock);
}

NTP_AES bool siv_open(const SivSchedule& schedule, std::span<const std::byte> nonce,
                      std::span<const std::byte> associated, std::span<const std::byte> sealed,
                      std::span<std::byte> out) noexcept {
  const Block v = load(sealed.data());
  crypt(schedule, v, sealed.subspan(kBlock), out.data());
  const Block own = s2v(schedule, nonce, associated, out);
  return _mm_movemask_epi8(_mm_cmpeq_epi8(own, v)) == 0xffff;
}

}  // namespace ntp::crypto

#else

namespace ntp::crypto {

bool has_aes_instructions() noexcept { return false; }

void siv_set_key(SivSchedule&, std::span<const std::byte, 32>) noexcept { NTP_CHECK(false); }
void siv_seal(const SivSchedule&, std::span<const std::byte>, std::span<const std::byte>,
              std::span<const std::byte>, std::span<std::byte>) noexcept {
  NTP_CHECK(false);
}
bool siv_open(const SivSchedule&, std::span<const std::byte>, std::span<const std::byte>,
              std::span<const std::byte>, std::span<std::byte>) noexcept {
  NTP_CHECK(false);
}

}  // namespace ntp::crypto

#endif

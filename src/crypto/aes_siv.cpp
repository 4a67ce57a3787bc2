#include "crypto/aes_siv.h"

#include "base/check.h"
#include "base/few.h"

#if defined(__x86_64__)

#include <smmintrin.h>
#include <wmmintrin.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "crypto/aead.h"

// Every function that works on blocks is compiled for them; none is called elsewhere.
#define NTP_AES __attribute__((target("aes,sse4.1")))
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
using RoundKey = SivSchedule::Block;
constexpr std::size_t kBlock = 16;
constexpr std::size_t kRounds = 10;
constexpr std::size_t kLanes = 8;         // as many chains as keep the AES unit busy
constexpr std::size_t kCounterLanes = 4;  // likewise; its blocks do not wait for each other
constexpr std::size_t kJobs = 8;          // whose chains are computed together

NTP_AES_INLINE Block load(const void* from) {
  return _mm_loadu_si128(static_cast<const Block*>(from));
}
NTP_AES_INLINE void store(void* to, Block block) {
  _mm_storeu_si128(static_cast<Block*>(to), block);
}

NTP_AES_INLINE Block round_key(const RoundKey* keys, std::size_t round) {
  return _mm_load_si128(reinterpret_cast<const Block*>(keys + round));
}

template <typename T>
NTP_AES_INLINE std::uint64_t word(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Under 16 octets, then zeros: by two words that overlap.
NTP_AES __attribute__((noinline)) Block load_some(Octets from) {
  const std::byte* const at = from.data();
  const std::size_t size = from.size();
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  if (size >= 8) {
    low = word<std::uint64_t>(at);
    if (size > 8) high = word<std::uint64_t>(at + size - 8) >> (8 * (16 - size));
  } else if (size >= 4) {
    low = word<std::uint32_t>(at) | word<std::uint32_t>(at + size - 4) << (8 * (size - 4));
  } else if (size > 0) {
    low = word<std::uint8_t>(at) | word<std::uint8_t>(at + size / 2) << (8 * (size / 2)) |
          word<std::uint8_t>(at + size - 1) << (8 * (size - 1));
  }
  return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}

// The octets of a block, each `places` later or earlier; zeros take their place.
alignas(kBlock) constexpr std::uint8_t kPlaces[3 * kBlock] = {
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   10,  11,  12,  13,  14,  15,
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128};
NTP_AES_INLINE Block later(Block block, std::size_t places) {
  return _mm_shuffle_epi8(block, load(kPlaces + kBlock - places));
}
NTP_AES_INLINE Block earlier(Block block, std::size_t places) {
  return _mm_shuffle_epi8(block, load(kPlaces + kBlock + places));
}

// The one bit that follows a message which ends at this octet of its block.
NTP_AES_INLINE Block end_mark(std::size_t at) { return later(_mm_cvtsi32_si128(0x80), at); }

// RFC 5297 section 2.3: times x, the first octet being the most significant.
NTP_AES_INLINE Block dbl(Block block) {
  const Block reversed = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const Block number = _mm_shuffle_epi8(block, reversed);
  // Of each half its highest bit, all over the other half.
  const Block carries = _mm_shuffle_epi32(_mm_srai_epi32(number, 31), _MM_SHUFFLE(1, 1, 3, 3));
  const Block twice = _mm_xor_si128(_mm_add_epi64(number, number),
                                    _mm_and_si128(carries, _mm_set_epi32(0, 1, 0, 0x87)));
  return _mm_shuffle_epi8(twice, reversed);
}

// One key of FIPS 197 section 5.2 after the other. SubWord is the last round of a block whose four
// words are the same one.
NTP_AES_INLINE Block next_key(Block key, Block constant) {
  const Block turned = _mm_shuffle_epi8(key, _mm_set1_epi32(0x0c0f0e0d));
  const Block added = _mm_aesenclast_si128(turned, constant);
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, added);
}

NTP_AES_INLINE void expand(const SivKey& a, const SivKey& b) {
  constexpr int kConstants[kRounds] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};
  std::array<RoundKey, kRounds + 1>* const to[] = {&a.schedule->mac, &a.schedule->ctr,
                                                   &b.schedule->mac, &b.schedule->ctr};
  Block keys[] = {load(a.key), load(a.key + kBlock), load(b.key), load(b.key + kBlock)};
  for (std::size_t round = 0; round <= kRounds; ++round) {
    NTP_UNROLL
    for (std::size_t i = 0; i < 4; ++i) store(&(*to[i])[round], keys[i]);
    if (round == kRounds) break;
    NTP_UNROLL
    for (Block& key : keys) key = next_key(key, _mm_set1_epi32(kConstants[round]));
  }
}

// CBC-MAC over whole blocks, and then over one more that stands elsewhere.
struct Chain {
  const RoundKey* keys;
  Block state;
  const std::byte* from;
  std::size_t blocks;
  const Block* last;

  NTP_AES_INLINE bool is_over() {
    if (blocks > 0) return false;
    if (last == nullptr) return true;
    from = reinterpret_cast<const std::byte*>(last);
    blocks = 1;
    last = nullptr;
    return false;
  }
};

// So many blocks of each of so many chains, each round of all before the next of any. Where there
// are fewer chains than that, the first is computed more than once: it takes no longer.
template <std::size_t kWidth>
NTP_AES_INLINE void advance(std::span<Chain* const> chains, std::size_t blocks) {
  NTP_UNINITIALIZED Block states[kWidth];
  NTP_UNINITIALIZED const RoundKey* keys[kWidth];
  NTP_UNINITIALIZED const std::byte* from[kWidth];
  NTP_UNROLL
  for (std::size_t i = 0; i < kWidth; ++i) {
    const Chain& chain = *chains[i < chains.size() ? i : 0];
    states[i] = chain.state;
    keys[i] = chain.keys;
    from[i] = chain.from;
  }
  for (std::size_t at = 0; at < blocks * kBlock; at += kBlock) {
    // Or all round keys are copied to the stack first, which nobody wants there.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    NTP_UNROLL
    for (std::size_t i = 0; i < kWidth; ++i) {
      states[i] =
          _mm_xor_si128(_mm_xor_si128(states[i], load(from[i] + at)), round_key(keys[i], 0));
    }
    NTP_UNROLL
    for (std::size_t round = 1; round < kRounds; ++round) {
      NTP_UNROLL
      for (std::size_t i = 0; i < kWidth; ++i) {
        states[i] = _mm_aesenc_si128(states[i], round_key(keys[i], round));
      }
    }
    NTP_UNROLL
    for (std::size_t i = 0; i < kWidth; ++i) {
      states[i] = _mm_aesenclast_si128(states[i], round_key(keys[i], kRounds));
    }
  }
  NTP_UNROLL
  for (std::size_t i = 0; i < kWidth; ++i) {
    if (i >= chains.size()) break;
    chains[i]->state = states[i];
    chains[i]->from += blocks * kBlock;
    chains[i]->blocks -= blocks;
  }
}

// All of them to their ends, side by side; whenever one is over the next takes its lane.
NTP_AES void run(std::span<Chain> chains) {
  NTP_UNINITIALIZED Chain* lanes[kLanes];
  std::size_t taken = 0;
  auto next = chains.begin();
  for (;;) {
    for (; taken < kLanes && next != chains.end(); ++next) {
      if (!next->is_over()) lanes[taken++] = &*next;
    }
    if (taken == 0) return;
    std::size_t blocks = lanes[0]->blocks;
    for (std::size_t i = 1; i < taken; ++i) blocks = std::min(blocks, lanes[i]->blocks);
    const std::span<Chain* const> under_way(lanes, taken);
    if (taken <= 2) {
      advance<2>(under_way, blocks);
    } else if (taken <= 4) {
      advance<4>(under_way, blocks);
    } else {
      advance<8>(under_way, blocks);
    }
    for (std::size_t i = 0; i < taken;) {
      if (lanes[i]->is_over()) {
        lanes[i] = lanes[--taken];
      } else {
        ++i;
      }
    }
  }
}

// How many blocks stand before the last one, which is whole or cut, and may be empty only alone.
NTP_AES_INLINE std::size_t before_last(std::size_t size) {
  return size == 0 ? 0 : (size - 1) / kBlock;
}

// What CMAC (RFC 4493) encrypts last, but for the chain so far.
NTP_AES_INLINE Block last_block(const SivSchedule& by, Octets message) {
  const std::byte* const end = message.data() + message.size();
  const std::size_t size = message.size() - before_last(message.size()) * kBlock;
  if (size == kBlock) return _mm_xor_si128(load(end - kBlock), load(&by.whole));
  const Block rest =
      message.size() < kBlock ? load_some(message) : earlier(load(end - kBlock), kBlock - size);
  return _mm_xor_si128(_mm_or_si128(rest, end_mark(size)), load(&by.cut));
}

// How many blocks of a plaintext are chained before anything else is known.
NTP_AES_INLINE std::size_t blocks_ahead(Octets plaintext) {
  return plaintext.size() < kBlock ? 0 : (plaintext.size() - kBlock) / kBlock;
}

// The end of S2V (RFC 5297 section 2.4): the last 16 to 31 octets, of which the last 16 have d
// added to them, or all of what is shorter. The number of blocks.
NTP_AES_INLINE std::size_t finish(const SivSchedule& by, Octets plaintext, Block d,
                                  Block (&blocks)[2]) {
  if (plaintext.size() < kBlock) {
    const Block rest = _mm_or_si128(load_some(plaintext), end_mark(plaintext.size()));
    blocks[0] = _mm_xor_si128(_mm_xor_si128(dbl(d), rest), load(&by.whole));
    return 1;
  }
  const Octets rest = plaintext.subspan(blocks_ahead(plaintext) * kBlock);
  const std::size_t more = rest.size() - kBlock;
  blocks[0] = _mm_xor_si128(load(rest.data()), later(d, more));
  if (more == 0) {
    blocks[0] = _mm_xor_si128(blocks[0], load(&by.whole));
    return 1;
  }
  const Block end = earlier(_mm_xor_si128(load(rest.data() + more), d), kBlock - more);
  blocks[1] = _mm_xor_si128(_mm_or_si128(end, end_mark(more)), load(&by.cut));
  return 2;
}

// S2V of the associated data, the nonce and the plaintext of up to kJobs jobs. First all chains
// that wait for nothing, the longest ones first; then what depends on all three.
NTP_AES void s2v(std::span<const AeadJob> jobs, bool is_sealed, Block* tags) {
  const auto plaintext = [&](const AeadJob& job) { return is_sealed ? Octets(job.out) : job.in; };
  const std::size_t count = jobs.size();
  NTP_UNINITIALIZED Chain chains[3 * kJobs];
  NTP_UNINITIALIZED Block ends[kJobs][2];
  for (std::size_t i = 0; i < count; ++i) {
    const AeadJob& job = jobs[i];
    const RoundKey* const keys = job.by->siv().mac.data();
    const Block zero = _mm_setzero_si128();
    ends[i][0] = last_block(job.by->siv(), job.associated);
    ends[i][1] = last_block(job.by->siv(), job.nonce);
    chains[i] = {keys, zero, job.associated.data(), before_last(job.associated.size()),
                 &ends[i][0]};
    chains[count + i] = {keys, zero, plaintext(job).data(), blocks_ahead(plaintext(job)), nullptr};
    chains[2 * count + i] = {keys, zero, job.nonce.data(), before_last(job.nonce.size()),
                             &ends[i][1]};
  }
  run(std::span(chains).first(3 * count));
  for (std::size_t i = 0; i < count; ++i) {
    const AeadJob& job = jobs[i];
    const Block first = dbl(_mm_xor_si128(load(&job.by->siv().start), chains[i].state));
    const Block d = _mm_xor_si128(first, chains[2 * count + i].state);
    Chain& chain = chains[count + i];
    chain.blocks = finish(job.by->siv(), plaintext(job), d, ends[i]);
    chain.from = reinterpret_cast<const std::byte*>(ends[i]);
  }
  run(std::span(chains).subspan(count, count));
  for (std::size_t i = 0; i < count; ++i) tags[i] = chains[count + i].state;
}

// RFC 5297 section 2.5. Two bits of the counter are cleared, so that 32 of it never overflow.
NTP_AES void crypt(const SivSchedule& by, Block tag, Octets from, std::byte* to) {
  const RoundKey* const keys = by.ctr.data();
  const Block first = _mm_and_si128(
      tag, _mm_set_epi32(static_cast<int>(0xffffff7f), static_cast<int>(0xffffff7f), -1, -1));
  auto number = __builtin_bswap32(static_cast<std::uint32_t>(_mm_extract_epi32(first, 3)));
  for (std::size_t at = 0; at < from.size();) {
    NTP_UNINITIALIZED Block lanes[kCounterLanes];
    NTP_UNROLL
    for (Block& lane : lanes) {
      lane =
          _mm_xor_si128(_mm_insert_epi32(first, static_cast<int>(__builtin_bswap32(number++)), 3),
                        round_key(keys, 0));
    }
    NTP_UNROLL
    for (std::size_t round = 1; round < kRounds; ++round) {
      const Block of_all = round_key(keys, round);
      NTP_UNROLL
      for (Block& lane : lanes) lane = _mm_aesenc_si128(lane, of_all);
    }
    NTP_UNROLL
    for (Block& lane : lanes) {
      lane = _mm_aesenclast_si128(lane, round_key(keys, kRounds));
    }
    for (const Block lane : lanes) {
      if (at + kBlock <= from.size()) {
        store(to + at, _mm_xor_si128(lane, load(from.data() + at)));
        at += kBlock;
      } else if (at < from.size()) {
        NTP_UNINITIALIZED std::byte rest[kBlock];
        store(rest, _mm_xor_si128(lane, load_some(from.subspan(at))));
        for (const std::byte* octet = rest; at < from.size(); ++at) to[at] = *octet++;
      }
    }
  }
}

}  // namespace

bool has_aes_instructions() noexcept {
  static const bool has =
      __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("sse4.1") != 0;
  return has;
}

NTP_AES void siv_set_keys(std::span<const SivKey> keys) noexcept {
  for (std::size_t at = 0; at < keys.size(); at += kJobs) {
    const auto some = keys.subspan(at, std::min(kJobs, keys.size() - at));
    for (std::size_t i = 0; i < some.size(); i += 2) {
      expand(some[i], some[std::min(i + 1, some.size() - 1)]);
    }
    const Block zero = _mm_setzero_si128();
    NTP_UNINITIALIZED Chain chains[kJobs];
    const auto all = std::span(chains).first(some.size());
    for (std::size_t i = 0; i < some.size(); ++i) {
      chains[i] = {some[i].schedule->mac.data(), zero, reinterpret_cast<const std::byte*>(&zero), 1,
                   nullptr};
    }
    run(all);
    for (std::size_t i = 0; i < some.size(); ++i) {
      SivSchedule& schedule = *some[i].schedule;
      const Block whole = dbl(chains[i].state);
      store(&schedule.whole, whole);
      store(&schedule.cut, dbl(whole));
      chains[i] = {schedule.mac.data(), zero, reinterpret_cast<const std::byte*>(&schedule.whole),
                   1, nullptr};
    }
    run(all);
    for (std::size_t i = 0; i < some.size(); ++i) {
      store(&some[i].schedule->start, dbl(chains[i].state));
    }
  }
}

NTP_AES void siv_seal(std::span<const AeadJob> jobs) noexcept {
  for (std::size_t at = 0; at < jobs.size(); at += kJobs) {
    const auto some = jobs.subspan(at, std::min(kJobs, jobs.size() - at));
    NTP_UNINITIALIZED Block tags[kJobs];
    s2v(some, false, tags);
    for (std::size_t i = 0; i < some.size(); ++i) {
      store(some[i].out.data(), tags[i]);
      crypt(some[i].by->siv(), tags[i], some[i].in, some[i].out.data() + kBlock);
    }
  }
}

NTP_AES void siv_open(std::span<AeadJob> jobs) noexcept {
  for (std::size_t at = 0; at < jobs.size(); at += kJobs) {
    const auto some = jobs.subspan(at, std::min(kJobs, jobs.size() - at));
    for (const AeadJob& job : some) {
      crypt(job.by->siv(), load(job.in.data()), job.in.subspan(kBlock), job.out.data());
    }
    NTP_UNINITIALIZED Block tags[kJobs];
    s2v(some, true, tags);
    for (std::size_t i = 0; i < some.size(); ++i) {
      const Block same = _mm_cmpeq_epi8(tags[i], load(some[i].in.data()));
      some[i].good = _mm_movemask_epi8(same) == 0xffff;
    }
  }
}

}  // namespace ntp::crypto

#else

namespace ntp::crypto {

bool has_aes_instructions() noexcept { return false; }

void siv_set_keys(std::span<const SivKey>) noexcept { NTP_CHECK(false); }
void siv_seal(std::span<const AeadJob>) noexcept { NTP_CHECK(false); }
void siv_open(std::span<AeadJob>) noexcept { NTP_CHECK(false); }

}  // namespace ntp::crypto

#endif

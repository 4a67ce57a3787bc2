#include "wire/refid.h"

#include <array>
#include <bit>

namespace ntp::wire {
namespace {

// floor(2^32 * |sin(i + 1)|), RFC 1321 section 3.4.
constexpr std::array<std::uint32_t, 64> kSines{
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
constexpr std::array<std::array<int, 4>, 4> kTurns{
    {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}};

// The first word of the MD5 hash (RFC 1321) of sixteen octets: one block, and one word of four.
std::uint32_t md5_word(const std::array<std::uint8_t, 16>& octets) noexcept {
  std::array<std::uint32_t, 16> block{};
  for (std::size_t i = 0; i < octets.size(); ++i) {
    block[i / 4] |= static_cast<std::uint32_t>(octets[i]) << (8 * (i % 4));
  }
  block[4] = 0x80;
  block[14] = static_cast<std::uint32_t>(octets.size() * 8);
  std::uint32_t a = 0x67452301;
  std::uint32_t b = 0xefcdab89;
  std::uint32_t c = 0x98badcfe;
  std::uint32_t d = 0x10325476;
  for (std::uint32_t i = 0; i < 64; ++i) {
    std::uint32_t mix = 0;
    std::uint32_t word = 0;
    switch (i / 16) {
      case 0:
        mix = (b & c) | (~b & d);
        word = i;
        break;
      case 1:
        mix = (d & b) | (~d & c);
        word = 5 * i + 1;
        break;
      case 2:
        mix = b ^ c ^ d;
        word = 3 * i + 5;
        break;
      default:
        mix = c ^ (b | ~d);
        word = 7 * i;
        break;
    }
    const std::uint32_t sum = a + mix + kSines[i] + block[word % 16];
    a = d;
    d = c;
    c = b;
    b += std::rotl(sum, kTurns[i / 16][i % 4]);
  }
  return a + 0x67452301;
}

}  // namespace

std::uint32_t refid_of(const IpAddress& address) noexcept {
  const auto& o = address.octets;
  if (address.is_v4()) {
    return static_cast<std::uint32_t>(o[0]) << 24 | static_cast<std::uint32_t>(o[1]) << 16 |
           static_cast<std::uint32_t>(o[2]) << 8 | o[3];
  }
  const std::uint32_t word = md5_word(o);  // its first octet is the lowest one
  return word << 24 | (word & 0xff00) << 8 | (word >> 8 & 0xff00) | word >> 24;
}

}  // namespace ntp::wire

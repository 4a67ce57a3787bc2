#include "crypto/random_stream.h"

#include <gtest/gtest.h>
#include <nettle/chacha.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "crypto/hex_test.h"
#include "crypto/octets.h"

namespace ntp::crypto {
namespace {

// RFC 8439 appendix A.1, vector 1: the block of key, nonce and counter zero. Its first half becomes
// the next key and is never given out.
TEST(RandomStream, IsChaCha20WithoutItsFirst32Octets) {
  RandomStream stream(RandomStream::Seed{});
  std::vector<std::byte> out(32);
  stream.fill(out);
  EXPECT_EQ(to_hex(out), "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
}

// Every block of it, and after a refill by the key that the first 32 octets became.
TEST(RandomStream, IsWhatTheLibraryComputes) {
  RandomStream::Seed key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(i * 37 + 11);
  RandomStream stream(key);
  for (int refill = 0; refill < 3; ++refill) {
    std::vector<std::byte> expected(1024), got(992);
    constexpr std::array<std::uint8_t, CHACHA_NONCE_SIZE> kNonce{};
    chacha_ctx cipher;
    chacha_set_key(&cipher, raw(std::span<const std::byte>(key)));
    chacha_set_nonce(&cipher, kNonce.data());
    chacha_crypt(&cipher, expected.size(), raw(std::span(expected)),
                 raw(std::span<const std::byte>(expected)));
    stream.fill(got);
    EXPECT_EQ(to_hex(got), to_hex(std::span(expected).subspan(32)));
    std::copy_n(expected.begin(), key.size(), key.begin());
  }
}

TEST(RandomStream, PiecesAreTheSameStreamAsTheWhole) {  // and over the refill, 992 octets on
  RandomStream whole({std::byte{5}});
  RandomStream pieces({std::byte{5}});
  std::vector<std::byte> expected(5000);
  whole.fill(expected);
  std::vector<std::byte> got(5000);
  std::size_t at = 0;
  for (std::size_t size = 0; at < got.size(); size = (size * 7 + 3) % 61) {
    const std::size_t n = std::min(size, got.size() - at);
    pieces.fill(std::span(got).subspan(at, n));
    at += n;
  }
  EXPECT_EQ(got, expected);
}

TEST(RandomStream, NeverRepeatsAndFollowsItsSeed) {
  std::set<std::vector<std::byte>> seen;
  for (unsigned seed = 0; seed < 4; ++seed) {
    RandomStream stream({static_cast<std::byte>(seed)});
    for (int i = 0; i < 1000; ++i) {
      std::vector<std::byte> nonce(16);
      stream.fill(nonce);
      EXPECT_TRUE(seen.insert(nonce).second);
    }
  }
}

}  // namespace
}  // namespace ntp::crypto

#include "tls/library.h"

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <limits>

namespace ntp::tls {
namespace {

#ifndef NTP_INSTRUMENTED  // sanitizers end the process themselves
// Refused once, OpenSSL may go on without what it could not set up: found by the fault campaign,
// where one lost allocation (number 5,599 of a start) made every certificate's key "too small".
TEST(LibraryDeathTest, WithoutMemoryTheProcessEnds) {
  EXPECT_EXIT(
      {
        if (!govern_memory()) std::_Exit(1);
        OPENSSL_malloc(std::numeric_limits<std::ptrdiff_t>::max());
      },
      testing::ExitedWithCode(kNoMemory), "");
}

TEST(LibraryDeathTest, MemoryThatGrowsKeepsItsOctets) {
  EXPECT_EXIT(
      {
        if (!govern_memory()) std::_Exit(1);
        auto* text = static_cast<char*>(OPENSSL_malloc(4));
        text[0] = 'a';
        text = static_cast<char*>(OPENSSL_realloc(text, 4096));
        std::_Exit(text[0] == 'a' && can_begin() ? 0 : 2);
      },
      testing::ExitedWithCode(0), "");
}
#endif

}  // namespace
}  // namespace ntp::tls

#include "daemon/health_channel.h"

#include <gtest/gtest.h>

namespace ntp::daemon {
namespace {

using std::chrono::milliseconds;

TEST(HealthQuestion, ComesBackFromItsLine) {
  for (const HealthQuestion& question :
       {HealthQuestion{milliseconds(1500), {}}, HealthQuestion{milliseconds(1), 0.1},
        HealthQuestion{milliseconds(60'000), 1e-6}}) {
    const auto again = parse_question(to_line(question));
    ASSERT_TRUE(again.has_value()) << to_line(question);
    EXPECT_EQ(again->timeout, question.timeout);
    EXPECT_EQ(again->max_error_s.has_value(), question.max_error_s.has_value());
    if (question.max_error_s) {
      EXPECT_NEAR(*again->max_error_s, *question.max_error_s, 1e-9);
    }
  }
}

TEST(HealthQuestion, GarbageIsNoQuestionAndTheWaitIsBounded) {
  for (const char* line : {"", "health", "health x", "health 0", "health -5", "health 5 x",
                           "health 5 -", "health 5 1e999", "health 5 0.1 0.2", "health 5 0.1x",
                           "GET / HTTP/1.1", "health 99999999999999999999"}) {
    EXPECT_FALSE(parse_question(line).has_value()) << line;
  }
  EXPECT_EQ(parse_question("health 9999999")->timeout, milliseconds(60'000));
}

}  // namespace
}  // namespace ntp::daemon

// What comes in over the health channel: a question that is understood is written the same again.
#include <cmath>
#include <string>

#include "check.h"
#include "daemon/health_channel.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  const auto question = daemon::parse_question(std::string(fuzz::text_of(data, size)));
  if (!question) return 0;
  NTP_CHECK(question->timeout.count() > 0 && question->timeout <= std::chrono::seconds(60));
  NTP_CHECK(!question->max_error_s || std::isfinite(*question->max_error_s));
  const auto again = daemon::parse_question(daemon::to_line(*question));
  NTP_CHECK(again && again->timeout == question->timeout);
  NTP_CHECK(again->max_error_s.has_value() == question->max_error_s.has_value());
  return 0;
}

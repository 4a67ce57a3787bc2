// One line from whoever opens the health channel: what is understood comes back from its own line.
#include <cmath>
#include <string>

#include "check.h"
#include "daemon/health_channel.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  const std::string line(fuzz::text_of(data, size));
  const auto question = daemon::parse_question(line);
  if (!question) return 0;
  NTP_CHECK(question->timeout.count() > 0 && question->timeout <= std::chrono::minutes(1));
  NTP_CHECK(line.find("health") != line.npos);
  const std::string written = to_line(*question);
  NTP_CHECK(written.find('\n') == written.npos);
  const auto again = daemon::parse_question(written);
  NTP_CHECK(again && again->timeout == question->timeout);
  NTP_CHECK(again->max_error_s.has_value() == question->max_error_s.has_value());
  if (question->max_error_s) {
    NTP_CHECK(std::isfinite(*question->max_error_s));
    NTP_CHECK(std::abs(*again->max_error_s - *question->max_error_s) <= 1e-9);
  }
  return 0;
}

// A line of the log: whatever the event holds, it stays one line without a control character.
#include <string>

#include "check.h"
#include "control/log_format.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  const std::string text(fuzz::text_of(data, size));
  const auto half = text.size() / 2;
  const control::LogEvent event{.time = RealTime(std::chrono::seconds(1'795'420'000)),
                                .message = text.substr(0, half),
                                .fields = {{"value", text.substr(half)}, {"more", text}}};
  for (const auto format :
       {config::LogFormat::text, config::LogFormat::json, config::LogFormat::logfmt}) {
    for (const char c : control::format_line(event, format, std::chrono::seconds(3600))) {
      NTP_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    }
  }
  return 0;
}

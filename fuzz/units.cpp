// Durations, users, booleans and quoting: what is accepted comes back the same from its own text.
#include "config/units.h"
#include "check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  const auto text = fuzz::text_of(data, size);
  if (const auto duration = config::parse_duration(text)) {
    NTP_CHECK(duration->count() >= 0);
    NTP_CHECK(config::parse_duration(config::show_duration(*duration)) == duration);
  }
  if (const auto user = config::parse_user(text)) {
    NTP_CHECK(user->uid != UINT32_MAX && user->gid != UINT32_MAX);
  }
  (void)config::parse_boolean(text);
  (void)config::parse_integer(text);
  for (const char c : config::quote(text)) {
    NTP_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
  return 0;
}

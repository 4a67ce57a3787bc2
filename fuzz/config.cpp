// Any octets as a configuration file, and as the value of every setting in the environment. What
// loads must be shown such that it loads to the same settings; what does not must say why.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "config/load.h"
#include "config/show.h"

namespace {

using namespace ntp::config;

void check_loaded(const Loaded& loaded) {
  auto again = load_text(show(loaded, true), "shown");
  NTP_CHECK(again.has_value());
  again->settings.server.listen_is_default = loaded.settings.server.listen_is_default;
  again->settings.nts.listen_is_default = loaded.settings.nts.listen_is_default;
  again->settings.warnings = loaded.settings.warnings;
  NTP_CHECK(again->settings == loaded.settings);
}

void check(const std::expected<Loaded, Problems>& result) {
  if (result) {
    check_loaded(*result);
    return;
  }
  NTP_CHECK(!result.error().empty());
  for (const auto& problem : result.error()) NTP_CHECK(!problem.what.empty());
  NTP_CHECK(!show(result.error()).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(octets), size);
  check(load_text(text));
  if (size > 256) return 0;  // no value is longer
  const std::string value = text.substr(0, text.find('\0'));
  for (const auto& option : options()) {
    check(load({.environment = {{environment_name(option), value}}}));
  }
  check(load({.environment = {
                  {"LOG_LEVEL", value}, {"NTP_SERVERS", value}, {"NTP_SERVER_" + value, "1"}}}));
  return 0;
}

// The environment and the flags: lines of NAME=VALUE, of which "--key=value" is a flag.
#include <algorithm>
#include <string>

#include "check.h"
#include "config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ntp;
  config::Sources sources;
  auto text = fuzz::text_of(data, size);
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string name(line.substr(0, equals));
    const std::string value(line.substr(equals + 1));
    if (name.starts_with("--")) {
      sources.flags.push_back({.key = name.substr(2), .value = value, .flag = name});
    } else {
      sources.environment.emplace_back(name, value);
    }
  }
  // Which keys a flag stands for is the command line's business: it names none but known ones.
  std::erase_if(sources.flags, [](const config::FlagValue& flag) {
    return flag.key != "server.listen" && flag.key != "server.threads" &&
           flag.key != "http.listen" && flag.key != "source.address" && flag.key != "log.level" &&
           flag.key != "log.format";
  });
  const auto loaded = config::load(sources);
  if (!loaded) {
    NTP_CHECK(!loaded.error().empty());
    for (const config::Problem& problem : loaded.error()) NTP_CHECK(!to_string(problem).empty());
  }
  return 0;
}

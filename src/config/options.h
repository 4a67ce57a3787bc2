// The one table of settings. Parsing, defaults, `config show`, --help, the example file and the
// documentation's tables are made from it or held against it by a test.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace ntp::config {

// A value as its source wrote it. Environment and flags know text only (`bare`), which every reader
// takes as if it were written in TOML; a list is then separated by commas or blanks.
struct Value {
  enum class Type : std::uint8_t { text, integer, real, boolean, list, table, date };

  Type type = Type::text;
  bool bare = false;
  std::string text{};  // of a text
  std::int64_t integer = 0;
  double real = 0;
  bool boolean = false;
  std::vector<Value> items{};  // of a list
  int line = 0;                // 0: the source has no lines
  int column = 0;              // 1-based
};

// Something wrong with a value. `line` is 0 where the whole value is meant.
struct Fault {
  std::string what{};
  std::string hint{};
  int line = 0;
  int column = 0;
};

struct Option;

// What an option's reader is handed: itself, the value, and where to complain.
struct Given {
  const Option& option;
  const Value& value;
  std::vector<Fault>& faults;
};

struct Option {
  std::string_view key{};       // "server.listen"
  std::string_view fallback{};  // the default, in the form of the environment
  std::string_view flag{};      // "--listen", or empty
  std::string_view argument{};  // what --help calls the flag's value; empty: the flag has none
  std::string_view expects{};   // completes "it must be …"
  std::string_view help{};      // one sentence without its full stop
  bool reloadable = false;      // SIGHUP applies it; otherwise a restart is needed
  std::int64_t least = 0;       // of whole numbers, or of durations in nanoseconds
  std::int64_t most = 0;
  void (*read)(Settings&, const Given&) = nullptr;  // adds a fault or sets the value
  std::string (*show)(const Settings&) = nullptr;   // as TOML, such that reading gives it back
  std::span<const std::string_view> words = {};     // of a choice
  std::string_view alias = {};                      // a name in the environment of other images

  std::string_view section() const { return key.substr(0, key.find('.')); }
  std::string_view name() const { return key.substr(key.find('.') + 1); }
};

// In the order of the documentation; the keys of a section stand together.
std::span<const Option> options();
const Option* find_option(std::string_view key);
std::vector<std::string_view> sections();

std::string environment_name(const Option& option);  // "NTP_SERVER_SERVER_LISTEN"

const Settings& defaults();
std::string show_default(const Option& option);  // as TOML: `["0.0.0.0:123", "[::]:123"]`

// The options whose values differ, for a reload to say which of them need a restart.
std::vector<const Option*> changed(const Settings& before, const Settings& after);

}  // namespace ntp::config

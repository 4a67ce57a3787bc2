// From texts to settings: flags over environment over files over defaults. Pure: whoever calls has
// read the files (os/config_files.h) and the environment.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/options.h"
#include "config/settings.h"

namespace ntp::config {

// Where a value, or what is wrong, was written.
struct Origin {
  enum class Kind : std::uint8_t { fallback, file, environment, flag };

  Kind kind = Kind::fallback;
  std::string name{};  // path, variable or flag
  int line = 0;        // of a file, 1-based; 0: the file as a whole
  int column = 0;

  friend bool operator==(const Origin&, const Origin&) = default;
};
// "default", "/etc/ntp-server/ntp.toml:3:1", "environment NTP_SERVER_LOG_LEVEL", "flag --threads"
std::string to_string(const Origin& origin);

struct Problem {
  Origin where{};
  std::string what{};
  std::string hint{};          // what to do about it; may be empty
  bool no_permission = false;  // of reading a file

  friend bool operator==(const Problem&, const Problem&) = default;
};
using Problems = std::vector<Problem>;
// `ntp.toml:12:3: unknown key "stratun" in [server]; did you mean "stratum"?`
std::string to_string(const Problem& problem);

inline constexpr int kExitUsage = 2;          // only flags are wrong
inline constexpr int kExitNoPermission = 77;  // EX_NOPERM: a file may not be read
inline constexpr int kExitConfig = 78;        // EX_CONFIG: a file or the environment is wrong
int exit_code(std::span<const Problem> problems);

struct FileText {
  std::string name{};  // as messages give it
  std::string text{};
};

struct FlagValue {
  std::string key{};  // of the options' table, or "source.address"
  std::string value{};
  std::string flag{};  // as written, for messages
};

// Reads a file that a setting names.
using ReadFile = std::expected<FileText, Problem> (*)(const std::string& path, std::size_t most);

struct Sources {
  std::vector<FileText> files{};  // the main file, then the drop-ins: a later one wins
  std::vector<std::pair<std::string, std::string>> environment{};  // all of it
  std::vector<FlagValue> flags{};
  ReadFile read_file = nullptr;  // without it such files are taken for empty
};

struct Loaded {
  Settings settings{};
  std::vector<Origin> origins{};                      // of each setting, in the order of options()
  std::vector<std::vector<Origin>> source_origins{};  // of each source, in that of source_fields()
};

const Origin& origin_of(const Loaded& loaded, std::string_view key);

// Everything that is wrong is reported, values that another source overrides included.
std::expected<Loaded, Problems> load(const Sources& sources);

// What can be read of it: whatever is wrong keeps its default. For `healthcheck`, whose server may
// have been started before the configuration became bad.
Settings load_what_is_good(const Sources& sources);

// One file and nothing else; for the fuzzer and for tests.
std::expected<Loaded, Problems> load_text(std::string_view toml,
                                          std::string_view name = "ntp.toml");

}  // namespace ntp::config

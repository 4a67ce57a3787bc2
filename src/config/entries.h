// The steps of load(): what each kind of source says, before anybody judges the values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/options.h"

namespace ntp::config {

struct Entry {
  const Option* option = nullptr;
  Value value{};
  Origin origin{};
};

struct SourceField;

struct SourceValue {
  const SourceField* field = nullptr;
  Value value{};
  Origin origin{};
};

struct SourceEntry {
  Origin origin{};  // of the whole [[source]]
  std::vector<SourceValue> values{};
};

struct Entries {
  std::vector<Entry> entries{};
  std::optional<std::vector<SourceEntry>> sources{};  // empty: nothing is said of them
  Problems problems{};                                // unknown names and the like
  std::vector<std::string> warnings{};
};

Entries read_toml(const FileText& file);
Entries read_environment(const std::vector<std::pair<std::string, std::string>>& environment);
Entries read_flags(const std::vector<FlagValue>& flags);

}  // namespace ntp::config

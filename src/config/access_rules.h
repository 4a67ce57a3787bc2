// The written forms of access rules: in lists of the configuration, and in a file of their own.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/options.h"
#include "server/access.h"

namespace ntp::config {

inline constexpr std::size_t kMostAccessRules = 1'000'000;
inline constexpr std::size_t kLargestAccessFile = 64 << 20;  // octets

struct RuleFault {
  std::string what{};  // completes "has …"
  std::string hint{};
};

// "PREFIX", or "PREFIX@LISTENER" with a listener as server.listen has it.
std::expected<server::AccessRule, RuleFault> parse_access_rule(std::string_view text, bool allowed);
std::string to_string(const server::AccessRule& rule);  // as it is parsed

// access.allow or access.deny.
void read_access_rules(const Given& given, bool allowed, std::vector<server::AccessRule>& out);

// Lines of "allow PREFIX[@LISTENER]" and "deny PREFIX[@LISTENER]"; '#' begins a comment.
struct AccessFile {
  std::string name{};
  std::vector<server::AccessRule> rules{};
  std::vector<int> lines{};  // of each rule
};
// Adds what is wrong, with line and column.
AccessFile read_access_file(const FileText& file, Problems& problems);

// Rules that contradict one another, and those of listeners that there are none of. `file` holds
// settings.access.more.
void check_access(const Loaded& loaded, const AccessFile& file, Problems& problems);

}  // namespace ntp::config

// Any octets as a file of access rules: what is read comes back the same from its own text, faults
// have a place, and the table made of the rules says what a search rule by rule says.
#include <string>
#include <vector>

#include "check.h"
#include "config/access_rules.h"
#include "server/access.h"

namespace {

using namespace ntp;

bool search(const std::vector<server::AccessRule>& rules, bool unlisted, const IpAddress& address) {
  bool verdict = unlisted;
  int longest = -1;
  for (const auto& rule : rules) {
    if (!rule.prefix.contains(address) || int{rule.prefix.length} < longest) continue;
    longest = rule.prefix.length;
    verdict = rule.allowed;
  }
  return verdict;
}

// The address `step` away in its last octet, which may be just outside of the prefix.
IpAddress beside(IpAddress address, int step) {
  auto& octet = address.octets[address.is_v4() ? 3 : 15];
  octet = static_cast<std::uint8_t>(octet + step);
  return address;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  config::Problems problems;
  const config::FileText text{.name = "rules", .text = std::string(fuzz::text_of(data, size))};
  const auto file = config::read_access_file(text, problems);
  for (const auto& problem : problems) {
    NTP_CHECK(problem.where.line >= 1 && problem.where.column >= 1 && !problem.what.empty());
  }
  NTP_CHECK(file.rules.size() == file.lines.size());
  for (const auto& rule : file.rules) {
    NTP_CHECK(config::parse_access_rule(config::to_string(rule), rule.allowed) == rule);
  }
  for (const bool unlisted : {false, true}) {
    const server::AccessTable table(file.rules, unlisted);
    for (const auto& rule : file.rules) {
      for (int step = -1; step <= 1; ++step) {
        const IpAddress address = beside(rule.prefix.address, step);
        NTP_CHECK(table.allows(address) == search(file.rules, unlisted, address));
      }
    }
  }
  return 0;
}

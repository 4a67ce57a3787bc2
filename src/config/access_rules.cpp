#include "config/access_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "config/refuse.h"
#include "config/units.h"

namespace ntp::config {
namespace {

using server::AccessRule;

constexpr std::uint16_t kNtpPort = 123;
constexpr std::size_t kMostProblems = 20;  // of one file: the rest would be more of the same
constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kWordForm = "a line is \"allow PREFIX\" or \"deny PREFIX\"";

RuleFault prefix_fault(std::string_view text, PrefixError error) {
  switch (error) {
    case PrefixError::too_long:
      return {fmt::format("{}, whose length is too large", quote_short(text)),
              "write up to /32 behind an IPv4 address, up to /128 behind an IPv6 one"};
    case PrefixError::host_bits: {
      const auto slash = text.find('/');
      const auto address = parse_ip(text.substr(0, slash));
      const auto length = parse_integer(text.substr(slash + 1));
      const auto network = masked(address.value_or(IpAddress{}), static_cast<unsigned>(*length));
      return {fmt::format("{}, which has bits behind its length", quote_short(text)),
              fmt::format("write {}/{} for the network, or {} for the address", to_string(network),
                          *length, text.substr(0, slash))};
    }
    case PrefixError::not_a_prefix:
      break;
  }
  return {fmt::format("{}, which is no address and no prefix", quote_short(text)),
          "write ADDR or ADDR/LENGTH (names are not looked up)"};
}

// One line of the file, taken apart.
struct Line {
  std::string_view verdict{};
  std::string_view rule{};
  std::string_view rest{};  // should be empty
};

std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  const auto word = text.substr(0, text.find_first_of(kBlanks));
  text.remove_prefix(word.size());
  return word;
}

Line take_apart(std::string_view text) {
  text = text.substr(0, text.find('#'));
  Line line;
  line.verdict = next_word(text);
  line.rule = next_word(text);
  line.rest = next_word(text);
  return line;
}

class FileReader {
 public:
  FileReader(const FileText& file, Problems& problems) : file_(file), problems_(problems) {}

  AccessFile read() {
    out_.name = file_.name;
    std::string_view text = file_.text;
    for (int number = 1; !text.empty() && faults_ < kMostProblems; ++number) {
      line_ = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line_.size() + 1, text.size()));
      number_ = number;
      read_line(take_apart(line_));
      if (out_.rules.size() > kMostAccessRules) {
        complain(line_, fmt::format("over {} rules", kMostAccessRules), "this is no list of rules");
        break;
      }
    }
    if (faults_ == kMostProblems) {
      complain(line_, "many faults: what follows was not read", "");
    }
    return std::move(out_);
  }

 private:
  void read_line(const Line& line) {
    if (line.verdict.empty()) return;
    const bool allowed = line.verdict == "allow";
    if (!allowed && line.verdict != "deny") {
      return complain(line.verdict, fmt::format("{} is no verdict", quote_short(line.verdict)),
                      std::string(kWordForm));
    }
    if (line.rule.empty()) {
      return complain(line.verdict, fmt::format("{} without a prefix", quote(line.verdict)),
                      std::string(kWordForm));
    }
    if (!line.rest.empty()) {
      return complain(line.rest, fmt::format("{} behind the rule", quote_short(line.rest)),
                      "one rule a line; '#' begins a comment");
    }
    auto rule = parse_access_rule(line.rule, allowed);
    if (!rule) return complain(line.rule, "has " + rule.error().what, rule.error().hint);
    out_.rules.push_back(*rule);
    out_.lines.push_back(number_);
  }

  // `at` lies within the line.
  void complain(std::string_view at, std::string what, std::string hint) {
    ++faults_;
    problems_.push_back({.where = {.kind = Origin::Kind::file,
                                   .name = file_.name,
                                   .line = number_,
                                   .column = static_cast<int>(at.data() - line_.data()) + 1},
                         .what = std::move(what),
                         .hint = std::move(hint)});
  }

  const FileText& file_;
  Problems& problems_;
  AccessFile out_;
  std::string_view line_;
  int number_ = 0;
  std::size_t faults_ = 0;
};

// A rule and where it was written.
struct Placed {
  const AccessRule* rule = nullptr;
  const Origin* list = nullptr;  // of the configuration's; null: in the file of rules
  int line = 0;
  std::size_t place = 0;  // among all
};

Origin origin_of(const Placed& placed, const AccessFile& file) {
  if (placed.list != nullptr) return *placed.list;
  return {.kind = Origin::Kind::file, .name = file.name, .line = placed.line, .column = 1};
}

// What a rule is about; two that agree in it and differ in the verdict contradict one another.
auto subject(const Placed& placed) { return std::tie(placed.rule->prefix, placed.rule->listener); }

std::vector<Placed> all_rules(const Loaded& loaded, const AccessFile& file) {
  std::vector<Placed> placed;
  const auto& access = loaded.settings.access;
  for (const auto& rule : access.allow) {
    placed.push_back({.rule = &rule, .list = &origin_of(loaded, "access.allow")});
  }
  for (const auto& rule : access.deny) {
    placed.push_back({.rule = &rule, .list = &origin_of(loaded, "access.deny")});
  }
  for (std::size_t i = 0; i < file.rules.size(); ++i) {
    placed.push_back({.rule = &file.rules[i], .line = file.lines[i]});
  }
  for (std::size_t i = 0; i < placed.size(); ++i) placed[i].place = i;
  return placed;
}

}  // namespace

std::expected<AccessRule, RuleFault> parse_access_rule(std::string_view text, bool allowed) {
  const auto at = text.find('@');
  const auto prefix = parse_prefix(text.substr(0, at));
  if (!prefix) return std::unexpected(prefix_fault(text.substr(0, at), prefix.error()));
  AccessRule rule{.prefix = *prefix, .allowed = allowed};
  const IpAddress& address = prefix->address;
  if (unmapped(address) != address) {
    return std::unexpected(
        RuleFault{fmt::format("{}, an IPv4 address written as IPv6", quote_short(text)),
                  "write the IPv4 prefix itself: no client is seen by the other form"});
  }
  if (at == std::string_view::npos) return rule;
  rule.listener = parse_endpoint(text.substr(at + 1), kNtpPort);
  if (rule.listener) return rule;
  return std::unexpected(RuleFault{fmt::format("{}, which names no listener", quote_short(text)),
                                   "behind the @ stands an address of server.listen"});
}

std::string to_string(const AccessRule& rule) {
  const bool whole = rule.prefix.length == (rule.prefix.address.is_v4() ? 32 : 128);
  const std::string prefix = whole ? to_string(rule.prefix.address) : to_string(rule.prefix);
  return rule.listener ? prefix + "@" + to_string(*rule.listener) : prefix;
}

void read_access_rules(const Given& given, bool allowed, std::vector<AccessRule>& out) {
  if (given.value.type != Value::Type::list && given.value.type != Value::Type::text) {
    return refuse_type(given);
  }
  std::vector<AccessRule> rules;
  const auto faults = given.faults.size();
  for (const Value& item : items_of(given.value)) {
    if (item.type != Value::Type::text) {
      refuse(given, item, "has something that is no string", it_must_be(given));
      continue;
    }
    auto rule = parse_access_rule(item.text, allowed);
    if (rule) {
      rules.push_back(*rule);
    } else {
      refuse(given, item, "has " + rule.error().what, rule.error().hint);
    }
  }
  if (given.faults.size() == faults) out = std::move(rules);
}

AccessFile read_access_file(const FileText& file, Problems& problems) {
  return FileReader(file, problems).read();
}

void check_access(const Loaded& loaded, const AccessFile& file, Problems& problems) {
  auto placed = all_rules(loaded, file);
  const auto& listen = loaded.settings.server.listen;
  const std::size_t most = problems.size() + kMostProblems;
  for (const Placed& p : placed) {
    const auto& listener = p.rule->listener;
    if (!listener || std::ranges::find(listen, *listener) != listen.end()) continue;
    if (problems.size() == most) return;
    problems.push_back({.where = origin_of(p, file),
                        .what = fmt::format("the rule {} is about a listener that there is none of",
                                            quote(to_string(*p.rule))),
                        .hint = "behind the @ stands an address of server.listen"});
  }
  std::ranges::sort(placed, {},
                    [](const Placed& p) { return std::tuple_cat(subject(p), std::tie(p.place)); });
  for (std::size_t i = 1; i < placed.size() && problems.size() < most; ++i) {
    const Placed& p = placed[i];
    if (subject(placed[i - 1]) != subject(p) || placed[i - 1].rule->allowed == p.rule->allowed) {
      continue;
    }
    problems.push_back(
        {.where = origin_of(p, file),
         .what = fmt::format("{} is both allowed and denied", quote(to_string(*p.rule))),
         .hint = "remove one of the two rules"});
  }
}

}  // namespace ntp::config

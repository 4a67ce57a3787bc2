// The settings' TOML, and nothing but its form.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "config/entries.h"
#include "config/screen.h"
#include "config/source_fields.h"
#include "config/suggest.h"
#include "config/toml.h"
#include "config/units.h"

namespace ntp::config {
namespace {

constexpr std::string_view kSource = "source";

Origin origin_of(const FileText& file, const toml::source_region& source) {
  return {.kind = Origin::Kind::file,
          .name = file.name,
          .line = static_cast<int>(source.begin.line),
          .column = static_cast<int>(source.begin.column)};
}

Value value_of(const toml::node& node) {
  Value value{.line = static_cast<int>(node.source().begin.line),
              .column = static_cast<int>(node.source().begin.column)};
  if (const auto* text = node.as_string()) {
    value.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    value.type = Value::Type::integer;
    value.integer = integer->get();
  } else if (const auto* real = node.as_floating_point()) {
    value.type = Value::Type::real;
    value.real = real->get();
  } else if (const auto* boolean = node.as_boolean()) {
    value.type = Value::Type::boolean;
    value.boolean = boolean->get();
  } else if (node.is_array()) {
    value.type = Value::Type::list;
  } else if (node.is_table()) {
    value.type = Value::Type::table;
  } else {
    value.type = Value::Type::date;
  }
  return value;
}

std::string unknown_key_hint(std::string_view section, std::string_view name) {
  std::vector<std::string_view> here;
  for (const auto& option : options()) {
    if (option.section() == section) here.push_back(option.name());
  }
  for (const auto& option : options()) {
    if (option.name() == name) return fmt::format("it belongs in [{}]", option.section());
  }
  if (find_source_field(name) != nullptr) return "it belongs in [[source]]";
  return did_you_mean(name, here);
}

void read_section(const FileText& file, std::string_view section, const toml::table& table,
                  Entries& out) {
  for (auto&& [key, node] : table) {
    const auto* option = find_option(fmt::format("{}.{}", section, key.str()));
    if (option == nullptr) {
      out.problems.push_back(
          {.where = origin_of(file, key.source()),
           .what = fmt::format("unknown key {} in [{}]", quote(key.str()), section),
           .hint = unknown_key_hint(section, key.str())});
      continue;
    }
    Value value = value_of(node);
    if (const auto* list = node.as_array()) {
      for (const auto& item : *list) value.items.push_back(value_of(item));
    }
    out.entries.push_back(
        {.option = option, .value = std::move(value), .origin = origin_of(file, node.source())});
  }
}

Problem unknown_section(const FileText& file, const toml::key& key, const toml::node& node) {
  Problem problem{.where = origin_of(file, key.source())};
  const std::string name = quote(key.str());
  if (!node.is_table() && !node.is_array_of_tables()) {
    problem.what = fmt::format("unknown key {} before any [section]", name);
    problem.hint = unknown_key_hint("", key.str());
  } else {
    problem.what = fmt::format("unknown section {}", name);
  }
  if (problem.hint.empty()) {
    auto known = sections();
    known.push_back(kSource);
    problem.hint = did_you_mean(key.str(), known);
  }
  return problem;
}

std::string unknown_source_key_hint(std::string_view name) {
  std::vector<std::string_view> here;
  for (const auto& field : source_fields()) here.push_back(field.option.name());
  std::string hint = did_you_mean(name, here);
  return hint.empty() ? unknown_key_hint(kSource, name) : hint;
}

SourceEntry read_source(const FileText& file, const toml::table& table, Problems& problems) {
  SourceEntry entry{.origin = origin_of(file, table.source())};
  for (auto&& [key, node] : table) {
    const auto* field = find_source_field(key.str());
    if (field == nullptr) {
      problems.push_back({.where = origin_of(file, key.source()),
                          .what = fmt::format("unknown key {} in [[source]]", quote(key.str())),
                          .hint = unknown_source_key_hint(key.str())});
      continue;
    }
    entry.values.push_back(
        {.field = field, .value = value_of(node), .origin = origin_of(file, node.source())});
  }
  return entry;
}

void read_sources(const FileText& file, const toml::key& key, const toml::node& node,
                  Entries& out) {
  const auto* list = node.as_array();
  const bool tables = list != nullptr && std::ranges::all_of(*list, [](const toml::node& item) {
                        return item.is_table();
                      });
  if (!tables) {
    out.problems.push_back({.where = origin_of(file, key.source()),
                            .what = fmt::format("{} is a list of sources", quote(kSource)),
                            .hint = "write [[source]] before each of them"});
    return;
  }
  out.sources.emplace();
  for (const auto& item : *list) {
    out.sources->push_back(read_source(file, *item.as_table(), out.problems));
  }
}

void read_root(const FileText& file, const toml::table& root, Entries& out) {
  const auto known = sections();
  for (auto&& [key, node] : root) {
    const std::string_view name = key.str();
    if (name == kSource) {
      read_sources(file, key, node, out);
    } else if (std::ranges::find(known, name) == known.end()) {
      out.problems.push_back(unknown_section(file, key, node));
    } else if (const auto* table = node.as_table()) {
      read_section(file, name, *table, out);
    } else {
      out.problems.push_back({.where = origin_of(file, key.source()),
                              .what = fmt::format("{} is a section", quote(name)),
                              .hint = fmt::format("write [{}], and its keys below", name)});
    }
  }
}

}  // namespace

Entries read_toml(const FileText& file) {
  Entries out;
  const auto text = screen(file);
  if (!text) {
    out.problems.push_back(text.error());
    return out;
  }
  const toml::parse_result result = toml::parse(std::string_view(*text));
  if (!result) {
    const auto& error = result.error();
    out.problems.push_back({.where = origin_of(file, error.source()),
                            .what = fmt::format("not TOML: {}", error.description())});
    return out;
  }
  read_root(file, result.table(), out);
  return out;
}

}  // namespace ntp::config

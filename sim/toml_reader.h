// Reads one table of a scenario file into a plain struct, key by key: see model_fields.h.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/time.h"
#include "config/toml.h"
#include "sim/link.h"
#include "wire/header.h"

namespace ntp::sim {

using Problems = std::vector<std::string>;

// One table: reads the keys that are there, complains about those that nobody asked for.
class Reader {
 public:
  Reader(const toml::table& table, std::string file, Problems& problems)
      : table_(table), file_(std::move(file)), problems_(problems) {}

  template <typename T>
  void operator()(std::string_view key, T& out) {
    expect(key);
    if (const toml::node* node = table_.get(key)) value(*node, out);
  }
  void scaled(std::string_view key, double unit, double& out) {
    double read = out / unit;
    (*this)(key, read);
    out = read * unit;
  }
  void expect(std::string_view key) { known_.insert(key); }
  void end() {
    for (auto&& [key, node] : table_) {
      if (!known_.contains(key.str())) {
        complain(key.source(), fmt::format("unknown key \"{}\"", key.str()));
      }
    }
  }
  const std::string& file() const { return file_; }
  void complain(const toml::source_region& where, const std::string& what) {
    problems_.push_back(fmt::format("{}:{}: {}", file_, where.begin.line, what));
  }
  void complain(const std::string& what) { complain(table_.source(), what); }

 private:
  template <typename T, typename Read>
  void plain(const toml::node& node, Read& out, const char* expected) {
    if (const auto read = node.value<T>()) {
      out = static_cast<Read>(*read);
    } else {
      complain(node.source(), fmt::format("not {}", expected));
    }
  }
  void value(const toml::node& node, double& out) { plain<double>(node, out, "a number"); }
  void value(const toml::node& node, int& out) { plain<std::int64_t>(node, out, "whole"); }
  void value(const toml::node& node, std::uint8_t& out) { plain<std::int64_t>(node, out, "whole"); }
  void value(const toml::node& node, bool& out) { plain<bool>(node, out, "true or false"); }
  void value(const toml::node& node, std::string& out) { plain<std::string>(node, out, "a text"); }
  template <typename Enum, std::size_t n>
  void word(const toml::node& node, Enum& out, const std::array<std::string_view, n>& words) {
    const auto found = std::ranges::find(words, node.value_or(std::string_view{}));
    if (found == words.end()) return complain(node.source(), "not a word that is known here");
    out = static_cast<Enum>(found - words.begin());
  }
  void value(const toml::node& node, Shape& out) { word(node, out, kShapes); }
  void value(const toml::node& node, wire::Leap& out) { word(node, out, kLeaps); }
  void value(const toml::node& node, RealTime& out) {
    const auto* date = node.as_date_time();
    if (date == nullptr) return complain(node.source(), "not a date and time");
    const auto& [day, time, zone] = **date;
    const auto days = std::chrono::sys_days(std::chrono::year(day.year) / day.month / day.day);
    out = RealTime(days.time_since_epoch() + std::chrono::hours(time.hour) +
                   std::chrono::minutes(time.minute) + std::chrono::seconds(time.second));
  }
  template <typename T>
  void value(const toml::node& node, std::optional<T>& out) {
    value(node, out.emplace());
  }
  template <typename T>
  void value(const toml::node& node, std::vector<T>& out) {
    const auto* list = node.as_array();
    if (list == nullptr) return complain(node.source(), "not a list");
    out.clear();
    for (const auto& item : *list) value(item, out.emplace_back());
  }
  void value(const toml::node& node, std::map<std::string, std::string>& out) {
    const auto* table = node.as_table();
    if (table == nullptr) return complain(node.source(), "not a table");
    out.clear();
    for (auto&& [key, item] : *table) value(item, out[std::string(key.str())]);
  }
  template <typename T>
    requires std::is_class_v<T>
  void value(const toml::node& node, T& out) {
    const auto* table = node.as_table();
    if (table == nullptr) return complain(node.source(), "not a table");
    Reader inner(*table, file_, problems_);
    fields(inner, out);  // by its type, in model_fields.h
    inner.end();
  }

  static constexpr std::array<std::string_view, 4> kShapes{"exponential", "gaussian", "uniform",
                                                           "product"};
  static constexpr std::array<std::string_view, 4> kLeaps{"none", "insert", "remove", "unknown"};

  const toml::table& table_;
  std::string file_;
  Problems& problems_;
  std::set<std::string_view> known_{};
};

}  // namespace ntp::sim

#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>

namespace ntp::cli {
namespace {

constexpr std::size_t kWidth = 80;
constexpr std::size_t kMargin = 27;  // where the right column starts

// `column` is where the text's first line starts on its line.
std::string wrapped(std::string_view text, std::size_t column) {
  std::string out;
  std::size_t at = column;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (at != column && at + 1 + word.size() > kWidth) {
      out += '\n' + std::string(column, ' ');
      at = column;
    }
    if (at != column) {
      out += ' ';
      ++at;
    }
    out += word;
    at += word.size();
  }
  return out;
}

std::string to_string(const HelpRow& row) {
  std::string out = "  " + row.left;
  if (out.size() + 2 > kMargin) {
    out += '\n';
    out.append(kMargin, ' ');
  } else {
    out.resize(kMargin, ' ');
  }
  return out + wrapped(row.right, kMargin) + '\n';
}

}  // namespace

std::string to_string(const Help& help) {
  std::string out = wrapped(help.about, 0) + "\n\n";
  for (std::size_t i = 0; i < help.usage.size(); ++i) {
    out += fmt::format("{} {}\n", i == 0 ? "Usage:" : "      ", help.usage[i]);
  }
  for (const auto& section : help.sections) {
    if (section.rows.empty()) continue;
    out += fmt::format("\n{}:\n", section.title);
    for (const auto& row : section.rows) out += to_string(row);
  }
  if (!help.footer.empty()) out += '\n' + help.footer + '\n';
  return out;
}

}  // namespace ntp::cli

#include "config/screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace ntp::config {
namespace {

// Every dot may open a table within a table, and toml++ destroys those recursively: without a limit
// a file of 1 MiB could overrun the stack.
constexpr std::ptrdiff_t kMostDots = 4096;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool is_ascii(char c) noexcept { return static_cast<unsigned char>(c) < 0x80; }

// Where the comment of a line starts, or its end. A line with a multi-line string's quotes counts
// as having none: a '#' may be anything there.
std::size_t comment_of(std::string_view line) {
  if (line.find(R"(""")") != std::string_view::npos) return line.size();
  if (line.find("'''") != std::string_view::npos) return line.size();
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == '"' && c == '\\') {
      ++i;
    } else if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#') {
      return i;
    }
  }
  return line.size();
}

Problem problem_at(const FileText& file, int line, std::size_t column, std::string what) {
  return {.where = {.kind = Origin::Kind::file,
                    .name = file.name,
                    .line = line,
                    .column = static_cast<int>(column)},
          .what = std::move(what)};
}

}  // namespace

std::expected<std::string, Problem> screen(const FileText& file) {
  std::string text = file.text;
  std::ptrdiff_t dots = 0;
  std::size_t start = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  for (int number = 1; start < text.size(); ++number) {
    const auto end = std::min(text.find('\n', start), text.size());
    const auto line = std::string_view(text).substr(start, end - start);
    const auto comment = comment_of(line);
    const auto strange =
        static_cast<std::size_t>(std::ranges::find_if_not(line, is_ascii) - line.begin());
    if (strange < comment) {
      auto problem = problem_at(file, number, strange + 1,
                                "a character outside ASCII; only comments may have one");
      problem.hint = R"(quotes are written as "...")";
      return std::unexpected(std::move(problem));
    }
    dots += std::ranges::count(line.substr(0, comment), '.');
    std::replace_if(
        text.begin() + static_cast<std::ptrdiff_t>(start + comment),
        text.begin() + static_cast<std::ptrdiff_t>(end), [](char c) { return !is_ascii(c); }, '?');
    start = end + 1;
  }
  if (dots > kMostDots) {
    auto problem = problem_at(file, 0, 0, fmt::format("over {} dots outside comments", kMostDots));
    problem.hint = "this is not a configuration of ntp-server";
    return std::unexpected(std::move(problem));
  }
  return text;
}

}  // namespace ntp::config

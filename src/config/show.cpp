#include "config/show.h"

#include <fmt/format.h>

#include "config/source_fields.h"

namespace ntp::config {
namespace {

// A file's name may hold anything but a NUL; a comment may not hold a line end.
std::string as_comment(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string from(const Origin& origin) {
  return fmt::format("  # from {}", as_comment(to_string(origin)));
}

}  // namespace

std::string show(const Loaded& loaded, bool origins) {
  std::string out;
  std::string_view section;
  for (std::size_t i = 0; i < options().size(); ++i) {
    const auto& option = options()[i];
    if (option.section() != section) {
      out += fmt::format("{}[{}]\n", section.empty() ? "" : "\n", option.section());
      section = option.section();
    }
    out += fmt::format("{} = {}", option.name(), option.show(loaded.settings));
    if (origins) out += from(loaded.origins[i]);
    out += '\n';
  }
  for (std::size_t i = 0; i < loaded.settings.sources.size(); ++i) {
    out += "\n[[source]]\n";
    for (std::size_t j = 0; j < source_fields().size(); ++j) {
      const auto& field = source_fields()[j];
      out += fmt::format("{} = {}", field.option.name(), field.show(loaded.settings.sources[i]));
      if (origins) out += from(loaded.source_origins[i][j]);
      out += '\n';
    }
  }
  return out;
}

std::string show(const Problems& problems) {
  std::string out;
  for (const auto& problem : problems) out += to_string(problem) + '\n';
  return out;
}

}  // namespace ntp::config

// The table of what a [[source]] may say, like that of the settings (config/options.h), and sources
// written as words: NTP_SERVERS of the common images and --source.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/source_options.h"
#include "config/entries.h"
#include "config/options.h"

namespace ntp::config {

inline constexpr std::size_t kMostSources = 64;

// `option.read` and `option.show` are empty: those here are of one source.
struct SourceField {
  Option option{};  // key "source.address"
  void (*read)(client::SourceOptions&, const Given&) = nullptr;
  std::string (*show)(const client::SourceOptions&) = nullptr;
};

// In the order of the documentation; the first one is `address`, which has no default.
std::span<const SourceField> source_fields();
const SourceField* find_source_field(std::string_view name);  // without "source."

// "a.example, pool:b.example:1123 0.pool.ntp.org": a name that ends in pool.ntp.org is a pool. The
// words are split at commas and blanks; quotes around them are dropped.
void add_source_words(std::string_view text, const Origin& origin, Entries& out);

// Judges what was written and puts it into the settings, in place of what weaker sources of
// configuration said.
void apply_sources(const Entries& source, Loaded& loaded, Problems& problems);

}  // namespace ntp::config

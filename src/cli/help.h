// Lays out the text of --help for a terminal of 80 columns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ntp::cli {

struct HelpRow {
  std::string left{};   // "--config FILE"
  std::string right{};  // what it does
};

struct HelpSection {
  std::string title{};
  std::vector<HelpRow> rows{};  // none: the section is left out
};

struct Help {
  std::string about{};
  std::vector<std::string> usage{};  // "ntp-server query [OPTIONS] HOST[:PORT]"
  std::vector<HelpSection> sections{};
  std::string footer{};  // printed as it stands
};

std::string to_string(const Help& help);

}  // namespace ntp::cli

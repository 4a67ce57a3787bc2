// Text for a person or a pipe. fmt::print throws when it cannot be written; here the stream keeps
// the failure, which run_program() looks at in the end.
#pragma once

#include <cstdio>
#include <string_view>

namespace ntp::cli {

inline void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }
inline void complain(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

}  // namespace ntp::cli

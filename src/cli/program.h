// The program from its arguments to its exit code.
#pragma once

#include <string>
#include <vector>

namespace ntp::cli {

// `arguments` without the program's name. Returns the exit code.
int run_program(std::vector<std::string> arguments);

}  // namespace ntp::cli

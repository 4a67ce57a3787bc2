#include "cli/program.h"

int main(int argc, char** argv) {
  return ntp::cli::run_program({argv + (argc > 0 ? 1 : 0), argv + argc});
}

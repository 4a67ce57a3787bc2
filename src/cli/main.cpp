#include <sysexits.h>
#include <unistd.h>

#include <cstdio>
#include <new>

#include "base/memory.h"
#include "cli/program.h"

namespace {

int out_of_memory() noexcept {  // standard error has no buffer to allocate
  std::fputs("ntp-server: error: out of memory\n", stderr);
  return EX_OSERR;
}

// The constants of all files are made before main(), where nobody could catch an exception.
struct BeforeMain {
  BeforeMain() {
    std::set_new_handler([] { ::_exit(out_of_memory()); });
  }
};
[[gnu::init_priority(101)]] const BeforeMain before_main;

}  // namespace

int main(int argc, char** argv) {
  ntp::MemoryReserve::begin();
  try {
    return ntp::cli::run_program({argv + (argc > 0 ? 1 : 0), argv + argc});
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  }
}

#include "tls/library.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include <algorithm>
#include <cstdlib>

#include "os/leave.h"

namespace ntp::tls {
namespace {

void* allocate(std::size_t size, const char*, int) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) os::leave(kNoMemory);
  return memory;
}

void release(void* memory, const char*, int) {
  if (memory == nullptr) return;
  ::explicit_bzero(memory, ::malloc_usable_size(memory));
  std::free(memory);
}

// Never realloc(3), which would leave the old octets where they were.
void* resize(void* memory, std::size_t size, const char* file, int line) {
  if (memory == nullptr) return allocate(size, file, line);
  if (size == 0) {
    release(memory, file, line);
    return nullptr;
  }
  const std::size_t room = ::malloc_usable_size(memory);
  if (size <= room && size > room / 2) return memory;
  void* const other = allocate(size, file, line);
  ::memcpy(other, memory, std::min(room, size));
  release(memory, file, line);
  return other;
}

}  // namespace

bool govern_memory() noexcept { return ::CRYPTO_set_mem_functions(allocate, resize, release) == 1; }

bool can_begin() noexcept {
  OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  SSL_CTX* probe = SSL_CTX_new(TLS_method());
  SSL_CTX_free(probe);
  ERR_clear_error();
  return probe != nullptr;
}

}  // namespace ntp::tls

/* Preloaded under the unmodified program by calls.py: tells fail_call that the program's own code
 * begins, and is the C library that has no more memory where the file $FAULTS says so (operator new
 * ends there too). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control.h"

static struct control* control;

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* memory, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);

/* libseccomp, which builds its filters at the start, is not proof against want of memory (it frees
 * twice, it loops): it always has some. */
static uintptr_t spared_begin, spared_end;

static int spare(struct dl_phdr_info* info, size_t size, void* unused) {
  (void)size;
  (void)unused;
  if (strstr(info->dlpi_name, "libseccomp") == NULL) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
    uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
    if (end > spared_end) spared_end = end;
  }
  spared_begin = info->dlpi_addr;
  return 1;
}

/* Nor is glibc's search for a name (2.36: an assertion in nss_database.c, a null pointer). */
static __thread int in_name_search __attribute__((tls_model("initial-exec")));
static int (*search)(const char*, const char*, const struct addrinfo*, struct addrinfo**);

__attribute__((constructor)) static void begin(void) {
  const char* path = getenv("FAULTS");
  int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) abort();
  void* memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) abort();
  close(fd);
  dl_iterate_phdr(spare, NULL);
  *(void**)&search = dlsym(RTLD_NEXT, "getaddrinfo");
  control = memory;
  control->armed = 1;
}

int getaddrinfo(const char* node, const char* service, const struct addrinfo* hints,
                struct addrinfo** found) {
  in_name_search = 1;
  int result = search(node, service, hints, found);
  in_name_search = 0;
  return result;
}

static int fails(void* caller) {
  if (in_name_search) return 0;
  if ((uintptr_t)caller >= spared_begin && (uintptr_t)caller < spared_end) return 0;
  if (control == NULL) return 0; /* the loader's own */
  int64_t now = __atomic_add_fetch(&control->calls[kAllocations], 1, __ATOMIC_RELAXED);
  if (control->what != kAllocations || now < control->first || now > control->last) return 0;
  __atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) {
  return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}
void* calloc(size_t number, size_t size) {
  return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(number, size);
}
void* realloc(void* memory, size_t size) {
  return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(memory, size);
}
void* memalign(size_t alignment, size_t size) {
  return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  return fails(__builtin_return_address(0)) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void** out, size_t alignment, size_t size) {
  if (fails(__builtin_return_address(0))) return ENOMEM;
  *out = __libc_memalign(alignment, size);
  return *out != NULL ? 0 : ENOMEM;
}

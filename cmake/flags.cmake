# Warnings, hardening and sanitizers, the same for every target. tests/hardening.py looks whether what
# is asked for here has come out in the program.
include(CheckPIESupported)
check_pie_supported(LANGUAGES C CXX)  # links with -pie, which not every distribution's compiler does by itself
add_library(ntp_flags INTERFACE)
target_compile_options(ntp_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wold-style-cast
  -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Werror=return-type)
target_compile_definitions(ntp_flags INTERFACE _GLIBCXX_ASSERTIONS)
# The shared library: compiling {fmt} into every object takes as long as all the rest together.
target_link_libraries(ntp_flags INTERFACE fmt)
target_link_options(ntp_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code)

# The sandbox leaves the run-time libraries of these their way (src/os/seccomp.h).
if(NTP_SERVER_SANITIZE OR "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_DEBUG}" MATCHES "--coverage")
  target_compile_definitions(ntp_flags INTERFACE NTP_INSTRUMENTED)
endif()

if(NTP_SERVER_SANITIZE)
  target_compile_options(ntp_flags INTERFACE
    -fsanitize=${NTP_SERVER_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(NTP_SERVER_SANITIZE MATCHES "undefined")
    # It looks at memory through a pipe and misjudges objects when a test has used up all descriptors.
    target_compile_options(ntp_flags INTERFACE -fno-sanitize=vptr)
  endif()
  target_link_options(ntp_flags INTERFACE -fsanitize=${NTP_SERVER_SANITIZE})
else()
  target_compile_options(ntp_flags INTERFACE -fstack-protector-strong -fstack-clash-protection)
  if(NOT NTP_SERVER_MEMCHECK)
    target_compile_options(ntp_flags INTERFACE -ftrivial-auto-var-init=zero)
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
    target_compile_options(ntp_flags INTERFACE -fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    target_compile_options(ntp_flags INTERFACE -mbranch-protection=standard)
  endif()
  if(CMAKE_BUILD_TYPE MATCHES "Rel")
    target_compile_options(ntp_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
endif()

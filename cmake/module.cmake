# Compiled once for the modules and once, with GoogleTest, for the tests: the headers that most files
# read, which take longer than the files themselves. Each file still includes what it uses: ./dev lint
# compiles the modules without (CMAKE_DISABLE_PRECOMPILE_HEADERS).
set(ntp_precompiled <algorithm> <array> <chrono> <cmath> <cstdint> <cstring> <expected> <functional> <map> <memory>
    <optional> <ranges> <span> <string> <string_view> <utility> <vector> <fmt/format.h>)
function(ntp_precompile name owner)
  if(name STREQUAL owner)
    target_precompile_headers(${name} PRIVATE ${ntp_precompiled} ${ARGN})
  else()
    target_precompile_headers(${name} REUSE_FROM ${owner})
  endif()
endfunction()

# With NTP_SERVER_SMALL these are compiled for size: command line, configuration and documents are
# templates above all, and nobody waits for them.
set(ntp_for_size config control tls http ke cli)

# ntp_module(NAME [SOURCES …] [DEPENDS …]): the folder src/NAME as one library. DEPENDS names the
# modules below it; linking is what keeps an include from going up (tests/lint_floors.py says so too).
function(ntp_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  if(arg_SOURCES)
    add_library(ntp_${name} STATIC ${arg_SOURCES})
    if(NTP_SERVER_SMALL AND name IN_LIST ntp_for_size)
      target_compile_options(ntp_${name} PRIVATE -Os)
      ntp_precompile(ntp_${name} ntp_config)  # the first of them: headers are precompiled for one kind of code
    else()
      ntp_precompile(ntp_${name} ntp_base)
    endif()
    set(scope PUBLIC)
  else()
    add_library(ntp_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(ntp_${name} ${scope} ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(ntp_${name} ${scope} ntp_flags)
  foreach(lower IN LISTS arg_DEPENDS)
    target_link_libraries(ntp_${name} ${scope} ntp_${lower})
  endforeach()
endfunction()

# ntp_test(NAME SOURCES … [LIBRARIES …] [THREADS]): one GoogleTest program; every test of it is a CTest
# test with the label "unit". THREADS: it has some, or is of what runs in them.
function(ntp_test name)
  cmake_parse_arguments(arg "THREADS" "" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT NTP_SERVER_TESTS OR (NTP_SERVER_OF_THREADS AND NOT arg_THREADS))
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} ntp_flags GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE NTP_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  ntp_precompile(${name} base_test <gtest/gtest.h>)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit TIMEOUT 300)
endfunction()

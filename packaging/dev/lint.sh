#!/usr/bin/env bash
# ./dev lint: formatting, floors and sizes, clang-tidy, one version everywhere.
set -uo pipefail
cd "$(dirname "$0")/../.."
. packaging/dev/packages.sh
install_packages build test lint
passed=0 failed=0
check() {  # NAME COMMAND…
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1)); echo "ok    $name"
  else
    failed=$((failed + 1)); echo "FAIL  $name"; printf '%s\n' "$output" | tail -n 60
  fi
}

sources() { git ls-files '*.h' '*.cpp' | grep -vE '^(build)'; }
formatted() { sources | xargs clang-format-19 --dry-run --Werror; }
version_agrees() {
  local version; version=$(cat VERSION)
  grep -qx "ARG VERSION=$version" Dockerfile && grep -q "ntp-server:$version" stack.yml &&
    grep -q "ntp-server:$version" compose.yml && grep -q "^## $version" CHANGELOG.md
}
tidy() {
  cmake -S . -B build/dev-tidy -G Ninja -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_BUILD_TYPE=Debug -DNTP_SERVER_TESTS=OFF -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON || return 1
  git ls-files 'src/*.cpp' | grep -v _test.cpp | xargs -P "$(nproc)" -n 4 clang-tidy-19 --quiet -p build/dev-tidy --warnings-as-errors='*' 2>&1 |
    sed -E '/^[0-9]+ warnings? generated\.$|^\[[0-9]+\/[0-9]+\] Processing file /d'
}

check "clang-format" formatted
check "floors, sizes, pure rooms" python3 tests/lint_floors.py
check "threat model names tests that exist" python3 tests/lint_threats.py
check "one version everywhere" version_agrees
check "man page compiles" sh -c 'scdoc < docs/man/ntp-server.8.scd >/dev/null'
check "clang-tidy" tidy
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

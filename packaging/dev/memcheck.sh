#!/usr/bin/env bash
# ./dev test memcheck: the unit tests of what makes replies, under valgrind: nothing may depend on memory
# that was never written, and every octet that is sent was (A36). Built without the zeroing of variables
# that the program has besides. Why not MemorySanitizer: docs/decisions/0020-valgrind-for-memory.md.
set -uo pipefail
cd "$(dirname "$0")/../.."
. packaging/dev/packages.sh
tree=build/memcheck
programs=(src/wire/wire_test src/crypto/crypto_test src/nts/nts_test tests/wire/wire_cases_test src/server/server_test)
install_packages memcheck
./dev build memcheck --target "${programs[@]##*/}" || exit
export NTP_PROPERTY_PACKETS=4000  # each, of the rules' millions; the fuzzers and ./dev test play the others

passed=0 failed=0
check() {  # PROGRAM [FILTER]
  local program=$tree/$1 log=$tree/${1##*/}.log status=0
  valgrind --quiet --error-exitcode=99 --leak-check=no --track-origins=yes --child-silent-after-fork=yes \
    "$program" --gtest_brief=1 --gtest_filter="${2:-*}" >"$log" 2>&1 || status=$?
  if [ "$status" = 0 ]; then
    passed=$((passed + $(sed -nE 's/^\[  PASSED  \] ([0-9]+) tests?\.$/\1/p' "$log")))
    echo "ok    ${1##*/}"
  else
    failed=$((failed + 1))
    echo "FAIL  ${1##*/} (status $status)"; grep -vE '^\[' "$log" | head -n 60
  fi
}

check src/wire/wire_test
check src/crypto/crypto_test
check src/nts/nts_test
check tests/wire/wire_cases_test
# Behind the '-': hours of clients in a table, all arithmetic.
check src/server/server_test '-RateLimit*:Access*'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

#!/usr/bin/env bash
# ./dev coverage: line coverage of src/ by the unit and wire tests, worst files first.
set -euo pipefail
cd "$(dirname "$0")/../.."
. packaging/dev/packages.sh
install_packages coverage
./dev build coverage >/dev/null
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage -L unit -j "$(nproc)" >/dev/null
gcovr -r . build/coverage --filter 'src/' --exclude '.*_test\.cpp' --sort-percentage --print-summary "$@"

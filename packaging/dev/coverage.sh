#!/usr/bin/env bash
# ./dev coverage [--unit]: line coverage of src/. The pure floors are measured by the unit and wire
# tests alone, everything by these and the system tests (--unit leaves them out). Fails when a figure
# is under its floor (coverage.py). A test that fails is named, and is no failure of this: without
# optimisation some are too slow for their own limits, and ./dev test is the judge of them.
set -euo pipefail
cd "$(dirname "$0")/../.."
. packaging/dev/packages.sh
install_packages coverage
mkdir -p build
./dev build coverage >build/coverage.log 2>&1 || { tail -n 40 build/coverage.log >&2; exit 1; }
tree=build/coverage
log=$tree/tests

# The program writes its counts when it ends, and is another user by then.
umask 000
find "$tree" -type d -exec chmod a+w {} +
find "$tree" -name '*.gcda' -delete

run_tests() {  # LABEL [ARGS…]
  echo "running the $1 tests"
  ctest --test-dir "$tree" -L "$1" --no-tests=error --output-on-failure "${@:2}" >"$log.$1.log" 2>&1 && return
  grep -A 1000 -m 1 'The following tests FAILED' "$log.$1.log" || tail -n 20 "$log.$1.log"
}

summary() {
  gcovr --root . "$tree" -j "$(nproc)" --filter 'src/' --exclude '.*(_test\.(cpp|h)|_fixture\.h|/sample_report\.h)' --json-summary "$1"
}

export NTP_PROPERTY_PACKETS=100000  # of the rules' millions: more of them reach no other line
run_tests unit -j "$(nproc)"
summary "$tree/unit.json"
everything=()
if [ "${1:-}" != --unit ]; then
  # Prometheus reads the same pages as the others, and would have to be fetched.
  run_tests system -j 1 -E prometheus
  everything=("$tree/everything.json")
  summary "${everything[0]}"
fi
exec python3 packaging/dev/coverage.py "$tree/unit.json" "${everything[@]}"

#!/usr/bin/env bash
# ./dev test [STAGE…|--all]: every stage prints its time; the last line counts all tests.
set -uo pipefail
cd "$(dirname "$0")/../.."
. packaging/dev/packages.sh

stages=("$@")
[ $# -gt 0 ] || stages=(unit system)
if [ "${1:-}" = --all ]; then
  stages=(lint unit system interop docker asan tsan memcheck fuzz)
  export TESTS_MAY_NOT_SKIP=1  # what cannot be tested there is a failure
fi
[ "${1:-}" != --unit ] || stages=(unit)

passed=0 failed=0 broken=() late=()

# Adds what a runner counted: "N passed, N failed" or CTest's closing line.
count() {
  local log=$1 line
  while read -r line; do
    if [[ $line =~ ^a\ second\ try,\ alone ]]; then
      failed=$((failed - 1))  # the next closing line says what became of it
    elif [[ $line =~ ^passed\ at\ the\ second\ try:\ (.*) ]]; then
      late+=("$(basename "$log" .log | sed 's/^test-//')/${BASH_REMATCH[1]}")
    elif [[ $line =~ ([0-9]+)%\ tests\ passed,\ ([0-9]+)\ tests\ failed\ out\ of\ ([0-9]+) ]]; then
      failed=$((failed + BASH_REMATCH[2])) passed=$((passed + BASH_REMATCH[3] - BASH_REMATCH[2]))
    elif [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
      passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    fi
  done <"$log"
}

ctest_of() {  # PRESET LABEL [ARGS…]
  ctest --test-dir "build/$1" -L "$2" -j "$(nproc)" --no-tests=error --output-on-failure --progress "${@:3}" |
    tee "build/ctest-$1.log" | grep -vE '^(Test project|Label Time|unit +=|$)' | sed 's/^.*\r//'
  local result=${PIPESTATUS[0]}
  [ -z "${TESTS_MAY_NOT_SKIP:-}" ] || ! grep -F '(Skipped)' "build/ctest-$1.log" || result=1
  return "$result"
}

# A suite of real processes in real time may lose to a machine that did other things for a second. It
# is run once more, alone, and named at the end; no second try after a crash, a limit of time, a
# report of a sanitizer or where more than one suite failed (docs/decisions/0021-second-try.md).
suites_of() {  # PRESET LABEL [ARGS…]
  ctest_of "$@" && return
  local log="build/ctest-$1.log" suite
  suite=$(sed -nE 's/^[[:space:]]*[0-9]+ - (system_[a-z_]+) \(Failed\)$/\1/p' "$log")
  [ "$(grep -c '^[[:space:]]*[0-9]* - ' "$log")" = 1 ] && [ -n "$suite" ] || return 1
  ! grep -qE 'Sanitizer|runtime error:|check failed:|terminate called|(ended|killed) (by|with) (SIG|signal|-)|the sandbox refused|\(Skipped\)' "$log" || return 1
  echo "a second try, alone: $suite"
  ctest_of "$1" "$2" -R "^$suite\$" && ! grep -qF '(Skipped)' "$log" && echo "passed at the second try: $suite"
}

# Swarm's waits leave the processors idle: what the next stages need is built meanwhile, politely.
docker_stage() {
  local builder='' result=0
  if [[ " ${stages[*]} " == *" asan tsan "* ]]; then
    install_packages build test clang || return  # not meanwhile: Docker's tests install packages too
    (for preset in asan tsan; do nice -n 19 ./dev build "$preset"; done >build/test-ahead.log 2>&1) &
    builder=$!
  fi
  ./dev docker-test || result=$?
  [ -z "$builder" ] || wait "$builder"
  return "$result"
}

stage() {
  case $1 in
    lint) packaging/dev/lint.sh ;;
    unit) ./dev build release && ctest_of release unit ;;
    system) ./dev build release && suites_of release system -j 3 ;;
    interop) ./dev build release && install_packages interop && python3 tests/interop/run.py build/release/ntp-server ;;
    asan | tsan) ./dev build "$1" && ctest_of "$1" unit && suites_of "$1" sanitized ;;
    memcheck) packaging/dev/memcheck.sh ;;
    fuzz) ./dev fuzz "${FUZZ_SECONDS:-40}" ;;
    docker) docker_stage ;;
    *) echo "no such stage: $1" >&2; return 2 ;;
  esac
}

mkdir -p build
for name in "${stages[@]}"; do
  log="build/test-$name.log" start=$SECONDS
  echo "=== $name"
  if stage "$name" > >(tee "$log" | grep -vE '^\[[0-9]+/[0-9]+\]') 2>&1; then verdict=ok; else verdict=FAILED; broken+=("$name"); fi
  wait $! 2>/dev/null
  count "$log"
  echo "=== $name: $verdict in $((SECONDS - start)) s"
done

for name in ${broken[@]+"${broken[@]}"}; do  # once more, where it is looked for
  echo "=== what failed in $name"
  grep -E -A 8 '^ *FAIL|Failed  |Error|error:|Failure$|WARNING: .*Sanitizer' "build/test-$name.log" | tail -n 80
done
[ ${#broken[@]} -eq 0 ] || { echo "failed stages: ${broken[*]}"; [ "$failed" -gt 0 ] || failed=${#broken[@]}; }
[ ${#late[@]} -eq 0 ] || echo "passed at the second try only, look into it: ${late[*]}"
echo "$passed passed, $failed failed"
[ ${#broken[@]} -eq 0 ]

#!/usr/bin/env bash
# ./dev coverage: line coverage of src/ by the unit and system tests, by folder and by file. Fails
# when the pure floors together have less than 95 %.
set -euo pipefail
cd "$(dirname "$0")/../.."
. packaging/dev/packages.sh
install_packages coverage
./dev build coverage >/dev/null
find build/coverage -name '*.gcda' -delete
umask 000 # the program writes its figures as whoever it has become
chmod -R a+rwX build/coverage
# Without optimisation some tests are too slow for their own limits: that is said, and no failure here.
ctest --test-dir build/coverage -L 'unit|system' -j 1 --timeout 900 >build/coverage/tests.log || grep -F '***' build/coverage/tests.log
gcovr -r . build/coverage --filter 'src/' --exclude '.*_test\.cpp' --exclude-throw-branches --csv build/coverage/lines.csv "$@"
python3 - build/coverage/lines.csv <<'EOF'
import collections, csv, sys
PURE, GOAL = ("base", "wire", "server", "client", "clock", "config", "control"), 95.0
files = [(row["filename"], int(row["line_total"]), int(row["line_covered"])) for row in csv.DictReader(open(sys.argv[1]))]
folders = collections.defaultdict(lambda: [0, 0])
for name, total, covered in files:
    for group in (name.split("/")[1], "pure floors" if name.split("/")[1] in PURE else "shells and apps", "all"):
        folders[group][0] += total
        folders[group][1] += covered
share = lambda total, covered: 100 * covered / total if total else 100
print("lines covered by the unit and system tests")
for name, total, covered in sorted(files, key=lambda f: share(*f[1:])):
    if share(total, covered) < 95:
        print(f"  {name:40} {share(total, covered):6.1f} %  {total - covered} of {total} not")
for name, (total, covered) in sorted(folders.items(), key=lambda item: item[0] in ("pure floors", "shells and apps", "all")):
    print(f"{name:42} {share(total, covered):6.1f} %  of {total}")
if share(*folders["pure floors"]) < GOAL:
    sys.exit(f"the pure floors have less than {GOAL} %")
EOF
